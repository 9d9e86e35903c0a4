"""Writes the documents that are made of the tree: each role's README.md, and the table of scenarios (`make docs`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.scenarios import ROLES, ROOT, Scenario, scenarios

__all__ = ["documents"]

TEMPLATES = Environment(
    loader=FileSystemLoader(ROOT / "tools"),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 Markdown for readers of the tree, of the tree
)
TESTING = ROOT / "docs" / "testing.md"


def documents() -> dict[Path, str]:
    """The text that each of them has to have."""
    every = scenarios()
    texts = {ROOT / "roles" / role / "README.md": _role(role, every) for role in ROLES}
    texts[TESTING] = _testing(every)
    return texts


def _role(role: str, every: list[Scenario]) -> str:
    folder = ROOT / "roles" / role
    spec = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    text = (folder / "defaults" / "main.yml").read_text()
    derived = _derived(text)
    defaults = yaml.safe_load(text)
    inputs = [
        {
            "name": name,
            "type": _type(option),
            "default": _default(defaults[name]),
            "description": option["description"] + (f" *Derived: {derived[name]}.*" if name in derived else ""),
        }
        for name, option in spec["options"].items()
    ]
    return TEMPLATES.get_template("role_readme.md.j2").render(
        role=role,
        description=" ".join(spec["description"]),
        inputs=inputs,
        scenarios=[scenario for scenario in every if scenario.project == folder],
    )


def _derived(text: str) -> dict[str, str]:
    """{input: what it is derived of}, as the comments at the defaults say it."""
    found: dict[str, str] = {}
    for paragraph in text.split("\n\n"):
        comment = " ".join(line.removeprefix("# ") for line in paragraph.splitlines() if line.startswith("# "))
        if match := re.search(r"Derived: ([^.]+)\.", comment):
            found |= dict.fromkeys(re.findall(r"^(\w+):", paragraph, re.MULTILINE), match[1])
    return found


def _type(option: dict[str, Any]) -> str:
    name = str(option["type"]) + (f" of {option['elements']}" if "elements" in option else "")
    return " or ".join(f"`{choice}`" for choice in option["choices"]) if "choices" in option else name


def _default(value: Any) -> str:
    # JSON is YAML's flow style, as a reader would write it into an inventory.
    text = json.dumps(value) if not isinstance(value, str) else value or '""'
    return "`" + text.replace("|", r"\|") + "`"


def _testing(every: list[Scenario]) -> str:
    """docs/testing.md with the table of scenarios in its place."""
    rows = ["| scenario | what it proves |", "|---|---|"]
    rows += [f"| {scenario.title} | {scenario.proves} |" for scenario in every]
    before, mark, rest = TESTING.read_text().partition("<!-- scenarios: made by `make docs` -->\n")
    _, end, after = rest.partition("<!-- end of scenarios -->\n")
    return before + mark + "\n".join(rows) + "\n" + end + after


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
