"""Checks the files of group_vars and host_vars by their names: Ansible ignores those that belong to nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from kubeinstall.cluster.inputs import GROUPS, Findings, Inputs
from kubeinstall.cluster.sources import shown

__all__ = ["check_variable_files"]

# In this order Ansible looks for the variables of a name, and reads the first that exists.
EXTENSIONS = ("", ".yml", ".yaml", ".json")
NEAR = 0.75


def check_variable_files(inputs: Inputs, errors: Findings, warnings: Findings) -> None:
    """Errors for files that Ansible ignores, by their names or beside others.

    An inventory that is one file of several in its folder shares group_vars and host_vars with the others: there a
    name that it lacks is a warning.
    """
    unknown = warnings if inputs.shared_directory else errors
    # Ansible has a localhost of its own.
    hosts = {"localhost", *inputs.groups.get("all", ()), *(host.name for host in inputs.hosts)}
    groups = {*inputs.groups, *GROUPS, "all", "ungrouped"}
    for folder, kind, known in (("group_vars", "group", groups), ("host_vars", "host", hosts)):
        for name, paths in _by_name(inputs.directory / folder).items():
            _check_ignored(name, paths, errors)
            if name not in known:
                _check_unknown(name, paths[0], kind, sorted(known), unknown)


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The files and folders of each name, the one that Ansible reads first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        for name in _names(path):
            found.setdefault(name, []).append(path)
    for name, paths in found.items():
        paths.sort(key=lambda path: EXTENSIONS.index(path.name.removeprefix(name)))
    return found


def _names(path: Path) -> Iterator[str]:
    if not path.is_dir() and path.suffix in EXTENSIONS[1:]:
        yield path.stem
    else:
        yield path.name


def _check_ignored(name: str, paths: Sequence[Path], errors: Findings) -> None:
    first, *others = paths
    for path in others:
        if first.is_dir():
            errors.add(
                f"{shown(path)}: Ansible ignores this file, because the folder {name} is beside it",
                f"move it into the folder: mv {shown(path)} {shown(first / path.name)}",
            )
        else:
            errors.add(
                f"{shown(path)}: Ansible ignores it, because {first.name} is beside it", "merge the two into one file"
            )


def _check_unknown(name: str, path: Path, kind: str, known: Sequence[str], findings: Findings) -> None:
    near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
    if not near and path.is_file() and path.suffix not in EXTENSIONS:
        return  # a README.md or a copy of an editor's, which Ansible reads for a host or a group of that name only
    remedy = f"did you mean {near[0]}?" if near else f"rename it to a {kind} of the inventory, or move it elsewhere"
    findings.add(f"{shown(path)}: Ansible ignores it, because the inventory has no {kind} {name}", remedy)
