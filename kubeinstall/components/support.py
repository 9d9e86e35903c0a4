"""Versions: their order, the steps between them that upstream supports, and what it supports together (support.yml)."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter

__all__ = ["minor", "numbers", "refused_step", "unsupported"]

DATA = Path(__file__).with_name("support.yml")
VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,6})")


def numbers(version: str) -> tuple[int, int, int] | None:
    """A version as it is ordered, None for any other text. What follows the patch (-rc.1, +build) does not count."""
    found = VERSION.match(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def minor(version: str) -> str:
    """The version without its patch: 1.37 of 1.37.1."""
    return version.rpartition(".")[0]


def refused_step(before: str, after: str) -> str:
    """Why a component whose data outlives it can't go from one version to the other: "downgrade", "skip" or ""."""
    old, new = numbers(before), numbers(after)
    if old is None or new is None:
        return ""
    if new < old:
        return "downgrade"
    return "skip" if new[0] != old[0] or new[1] > old[1] + 1 else ""


def unsupported(kubernetes: str, component: str, version: str) -> str:
    """What would be supported with this Kubernetes in place of the version, empty where the version is."""
    oldest = _data().get(minor(kubernetes), {}).get(component)
    found = numbers(version)
    if oldest is None or found is None:
        return ""
    if any(found >= one and found[:2] == one[:2] for one in map(numbers, oldest) if one):
        return ""
    return ", ".join(f"{minor(one)} from {one}" for one in oldest)


@functools.cache
def _data() -> dict[str, dict[str, list[str]]]:
    text = DATA.read_text(encoding="utf-8")
    return TypeAdapter(dict[str, dict[str, list[str]]]).validate_python(yaml.safe_load(text), strict=True)
