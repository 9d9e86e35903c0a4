"""What the documents say exists: variables, commands, make targets, files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kubeinstall.cluster.known import known_inputs

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
CODE = re.compile(r"`([^`\n]+)`|^ {4}(\S.*)$", re.MULTILINE)


def code(document: Path) -> list[str]:
    """All that is set as code, in lines and in blocks."""
    return [inline or block for inline, block in CODE.findall(document.read_text())]


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_variables_exist(document: Path) -> None:
    known = known_inputs()
    words = {word for text in code(document) for word in re.findall(r"[a-z][a-z0-9_]+", text) if "_" in word}
    ours = {word for word in words if word.startswith(known.prefixes)} - {path.name for path in ROOT.glob("roles/*")}
    assert ours <= set(known.inputs)


def test_every_variable_of_the_cluster_and_of_hosts_is_documented() -> None:
    table = re.findall(r"^\| `(\w+)` \| (.+?) \|", (ROOT / "docs" / "inventory.md").read_text(), re.MULTILINE)
    known = known_inputs()
    assert {name for name in known.inputs if name.startswith(("cluster_", "node_"))} <= {name for name, _ in table}
    for name, default in table:
        if isinstance(value := known.default(name), (str, int)) and "{{" not in str(value):
            assert default == str(value).lower(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_commands_exist(document: Path) -> None:
    helped = subprocess.run(
        [Path(sys.executable).parent / "kubeinstall", "--help"], capture_output=True, text=True, check=True
    )
    commands = {line.split()[0] for line in helped.stdout.partition("Commands:\n")[2].splitlines()}
    used = {word for text in code(document) for word in re.findall(r"(?:^|/)kubeinstall ([a-z]\S*)", text)}
    assert used <= commands


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for text in code(document) for word in re.findall(r"^make ([a-z-]+)", text)} <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        path, _, heading = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(document: Path) -> set[str]:
    """The headings as links name them."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_variable_of_the_vagrantfile_is_documented_with_its_default() -> None:
    table: dict[str, str] = {}
    for names, defaults in re.findall(
        r"^\| (`KUBEINSTALL_.+?) \| (.+?) \|", (ROOT / "docs/vagrant.md").read_text(), re.M
    ):
        table |= dict(zip(re.findall(r"`KUBEINSTALL_(\w+)`", names), defaults.split(", "), strict=False))
    settings = dict(re.findall(r'setting\("(\w+)", "?(.+?)"?\)', (ROOT / "Vagrantfile").read_text()))
    # Which driver depends on the computer.
    assert {**table, "DRIVER": ""} == {**settings, "DRIVER": ""}


def test_every_line_of_the_trust_model_names_a_test_that_exists() -> None:
    section = (ROOT / "docs" / "security.md").read_text().partition("## Trust model\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/.]*\.py)?::(test_\w+)`", section)
    assert named
    path = ""
    for file, test in named:
        path = file or path
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{test}"
    claims = re.findall(r"^- cannot (?:.|\n(?!\n|- ))*", section, re.MULTILINE)
    assert [claim for claim in claims if "::" not in claim] == []
