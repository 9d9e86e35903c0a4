"""Looks at an inventory's YAML files before Ansible does, which passes over much of what is wrong in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from kubeinstall.errors import InputError, Problem

__all__ = ["check_sources", "directory_of", "encrypted_files", "shares_directory", "shown"]

VAULT = b"$ANSIBLE_VAULT"
# Endings of files that may be inventories.
_INVENTORIES = ("", ".ini", ".yml", ".yaml", ".json", ".py", ".sh", ".toml")


def directory_of(path: Path) -> Path:
    """An inventory's directory, where its group_vars are."""
    return path if path.is_dir() else path.parent


def shares_directory(path: Path) -> bool:
    """Whether the inventory is one file beside others, which may be inventories too."""
    return path.is_file() and any(
        other.is_file() and other != path and other.suffix in _INVENTORIES and not other.name.startswith(".")
        for other in path.parent.iterdir()
    )


def shown(path: Path) -> str:
    """As short as it can be said from here."""
    near = Path.cwd()
    return str(path.relative_to(near) if path.is_relative_to(near) else path)


def check_sources(path: Path, *, vault_password: bool = False) -> list[str]:
    """Ansible goes on without a file that it cannot read, and of two equal keys it takes the last. Returns warnings.

    What is encrypted is an error where there is no `vault_password`.
    """
    sources, files = _files(path)
    problems: list[Problem] = []
    warnings: list[str] = []
    for file in files:
        if not vault_password and _encrypted(file):
            problems.append(_locked(shown(file)))
        if file.suffix in (".yml", ".yaml", ".json"):
            node = _composed(file, problems)
            problems += _twice(file, node)
            if not vault_password:
                problems += _locked_values(file, node)
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


def encrypted_files(path: Path) -> list[Path]:
    """The inventory's files that are encrypted as a whole."""
    return [file for file in _files(path)[1] if _encrypted(file)]


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """(the inventory's sources, and all its files: those of group_vars and host_vars too)."""
    directory = directory_of(path)
    folders = [directory / "group_vars", directory / "host_vars"]
    sources = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if not _ignored(file, path)]
    files = sources + [file for folder in folders for file in sorted(folder.rglob("*"))]
    return sources, [file for file in files if file.is_file()]


def _encrypted(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return handle.read(len(VAULT)) == VAULT
    except OSError:
        return False  # said where it is read


def _locked(place: str) -> Problem:
    remedy = "give --ask-vault-pass, or name the file that holds it in ANSIBLE_VAULT_PASSWORD_FILE"
    return Problem(place, "encrypted by ansible-vault, and there is no vault password", remedy)


def _locked_values(file: Path, node: yaml.Node | None) -> Iterator[Problem]:
    if isinstance(node, yaml.ScalarNode) and node.tag in ("!vault", "!vault-encrypted"):
        yield _locked(f"{shown(file)}:{node.start_mark.line + 1}")
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for one in child if isinstance(child, tuple) else (child,):
            yield from _locked_values(file, one)


def _ignored(file: Path, inventory: Path) -> bool:
    parts = file.relative_to(inventory).parts
    return any(part.startswith(".") or part in ("group_vars", "host_vars") for part in parts)


def _composed(file: Path, problems: list[Problem]) -> yaml.Node | None:
    try:
        text = file.read_text(encoding="utf-8")
        return None if text.startswith(VAULT.decode()) else yaml.compose(text, yaml.SafeLoader)
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
