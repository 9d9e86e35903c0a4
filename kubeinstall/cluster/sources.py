"""Looks at an inventory's YAML files before Ansible does, which passes over much of what is wrong in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from kubeinstall.errors import InputError, Problem

__all__ = ["check_sources", "directory_of", "shown"]


def directory_of(path: Path) -> Path:
    """An inventory's directory, where its group_vars are."""
    return path if path.is_dir() else path.parent


def shown(path: Path) -> str:
    """As short as it can be said from here."""
    near = Path.cwd()
    return str(path.relative_to(near) if path.is_relative_to(near) else path)


def check_sources(path: Path) -> list[str]:
    """Ansible goes on without a file that it cannot read, and of two equal keys it takes the last. Returns warnings."""
    directory = directory_of(path)
    folders = [directory / "group_vars", directory / "host_vars"]
    sources = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if not _ignored(file, path)]
    files = sources + [file for folder in folders for file in sorted(folder.rglob("*"))]
    problems: list[Problem] = []
    warnings: list[str] = []
    for file in files:
        if file.is_file() and file.suffix in (".yml", ".yaml", ".json"):
            node = _composed(file, problems)
            problems += _twice(file, node)
            keys = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
            if file in sources and {"apiVersion", "kind"} <= keys:
                what = "Ansible takes this Kubernetes object for a part of the inventory (keep it elsewhere)"
                warnings.append(f"{shown(file)}: {what}")
            elif file in sources and isinstance(node, yaml.SequenceNode | yaml.ScalarNode):
                problems.append(
                    Problem(shown(file), "this is no inventory: it begins with groups, not with a list or a text")
                )
    if problems:
        raise InputError("the inventory cannot be read", where=shown(path), problems=problems)
    return warnings


def _ignored(file: Path, inventory: Path) -> bool:
    parts = file.relative_to(inventory).parts
    return any(part.startswith(".") or part in ("group_vars", "host_vars") for part in parts)


def _composed(file: Path, problems: list[Problem]) -> yaml.Node | None:
    try:
        text = file.read_text(encoding="utf-8")
        return None if text.startswith("$ANSIBLE_VAULT") else yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{shown(file)}:{mark.line + 1}:{mark.column + 1}" if mark else shown(file)
        remedy = "often a missing space, quote or indentation there"
        problems.append(Problem(place, f"this is not YAML: {error.problem}", remedy))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(Problem(shown(file), f"it cannot be read: {error}"))
    return None


def _twice(file: Path, node: yaml.Node | None) -> Iterator[Problem]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(file, item)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            # `<<` may stand several times: it merges.
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in first:
                    yield Problem(
                        f"{shown(file)}:{line}",
                        f"{key.value} stands here a second time, after line {first[key.value]}",
                        "only one of the two would count: keep one",
                    )
                first.setdefault(key.value, line)
            yield from _twice(file, value)
