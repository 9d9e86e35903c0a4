"""Nodes for a controller manager to look after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import Lab

__all__ = ["nodes"]


@contextmanager
def nodes(lab: Lab, *names: str) -> Iterator[None]:
    """Nodes that no kubelet is behind."""
    lab.kubectl(f"delete node --ignore-not-found {' '.join(names)}")
    for name in names:
        lab.kubectl("create --filename=-", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        yield
    finally:
        lab.kubectl(f"delete node {' '.join(names)}")
