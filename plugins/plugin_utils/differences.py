"""Differences as a host reports them, in the form Ansible shows with --diff and in one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def sentence(change: Mapping[str, Any]) -> str:
    """One difference in a few words, for the progress of a run."""
    kind, path = change["kind"], change["path"]
    if kind == "binary":
        return f"{change['name']} {change['version']} to {path}"
    if kind in ("file", "directory"):
        if kind == "file" and change.get("after") is None:
            return f"remove {path}"
        return f"{'change' if _existed(change) else 'create'} {path}"
    return f"{kind} {path}: {change['before'] or 'absent'} -> {change['after']}"


def _existed(change: Mapping[str, Any]) -> bool:
    return bool(change.get("before_attributes"))


def as_diff(changes: Iterable[Mapping[str, Any]], restart: str | None) -> list[dict[str, str]]:
    """Ansible's `diff`: one entry for each file, one for all that is not a file's content."""
    entries, others = [], []
    for change in changes:
        if change["kind"] == "file":
            entries.append(_file_entry(change))
        elif change["kind"] == "binary":
            before = f"sha256:{change['before']}" if change["before"] else "absent"
            after = f"sha256:{change['after']}" if change["after"] else "to be fetched or built"
            others.append((f"{change['path']}: {before}", f"{change['path']}: {after} ({change['version']})"))
        elif change["kind"] == "directory":
            before = change["before_attributes"] or "absent"
            others.append((f"{change['path']}: {before}", f"{change['path']}: {change['after_attributes']}"))
        else:
            label = f"{change['kind']} {change['path']}"
            others.append((f"{label}: {change['before'] or 'absent'}", f"{label}: {change['after']}"))
    if restart:
        others.append(("", restart))
    if others:
        entries.append(_lines(others))
    return entries


def _file_entry(change: Mapping[str, Any]) -> dict[str, str]:
    before, after = change.get("before_attributes"), change.get("after_attributes")
    same = not change.get("content", True)
    path = change["path"]
    return {
        "before_header": f"{path} ({before or 'absent'})",
        "after_header": f"{path} ({after or 'absent'})",
        # Where only mode or owner differ, the content would show nothing.
        "before": f"{before}\n" if same else change.get("before") or "",
        "after": f"{after}\n" if same else change.get("after") or "",
    }


def _lines(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {
        "before_header": "host",
        "after_header": "host",
        "before": "".join(f"{before}\n" for before, _ in pairs if before),
        "after": "".join(f"{after}\n" for _, after in pairs),
    }
