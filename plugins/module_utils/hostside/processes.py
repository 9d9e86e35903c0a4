"""The processes of this host, as /proc shows them."""

from __future__ import annotations

import os
from typing import Dict, List


def descendants(roots: List[int]) -> List[int]:
    """All processes below these, parents before their children."""
    children: Dict[int, List[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        # One that has ended meanwhile has none.
        if found := fields(f"/proc/{name}"):
            children.setdefault(int(found[1]), []).append(int(name))
    below: List[int] = []
    waiting = roots
    while waiting:
        waiting = [child for pid in waiting for child in children.get(pid, [])]
        below += waiting
    return below


def fields(path: str) -> List[str]:
    """Those of the file stat at /proc/PID or /proc/PID/task/TID after the name: state, parent and so on."""
    # The name in parentheses may hold anything: the fields after it begin behind the last one.
    return read(f"{path}/stat").rpartition(")")[2].split()


def read(path: str) -> str:
    """Empty for a process that has ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""
