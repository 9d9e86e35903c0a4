"""Pods that wait for a node, and which one they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import Lab, eventually

__all__ = ["Pod", "pod"]


class Pod:
    """A pod as the API tells of it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab = lab
        self.name = name

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._lab.kubectl(f"get pod {self.name} --output=json"))
        return found

    def is_bound_to(self, timeout: float = 20) -> str:
        """The name of its node."""
        bound = f"the pod {self.name!r} is bound to a node"
        return eventually(lambda: str(self.read()["spec"].get("nodeName", "")), timeout, bound)

    def waits_because(self) -> str:
        """The scheduler's reason why it has no node."""

        def reason() -> str:
            conditions = self.read()["status"].get("conditions", [])
            refused = [found for found in conditions if found.get("reason") == "Unschedulable"]
            return str(refused[0]["message"]) if refused else ""

        return eventually(reason, 20, f"the scheduler says why the pod {self.name!r} has no node")


@contextmanager
def pod(lab: Lab, name: str, cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> Iterator[Pod]:
    """A pod that asks for so much of a processor; `spec` is more of what it says about its node."""
    container = {"name": "main", "image": "none", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "labels": labels or {}}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}
    remove = f"delete pod {name} --ignore-not-found --force"
    lab.kubectl(remove)
    lab.kubectl("create --filename=-", manifest)
    try:
        yield Pod(lab, name)
    finally:
        lab.kubectl(remove)
