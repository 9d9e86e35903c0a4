"""Pods whose image is pulled each time, on a node of choice, and what became of the first try."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.clusters import Cluster
from tests.lab import eventually

__all__ = ["not_pulled", "pod", "pulled", "restarts"]


@contextmanager
def pod(cluster: Cluster, node: str, image: str) -> Iterator[str]:
    """The name of one that runs."""
    with _tried(cluster, node, image) as (name, state):
        assert "running" in state, f"{image} on {node}: {state}"
        yield name


def pulled(cluster: Cluster, node: str, image: str) -> None:
    with pod(cluster, node, image):
        pass


def not_pulled(cluster: Cluster, node: str, image: str) -> str:
    """Why it is not."""
    with _tried(cluster, node, image) as (_, state):
        assert "waiting" in state, f"{image} on {node}: {state}"
        return str(state["waiting"]["message"])


def restarts(cluster: Cluster, name: str) -> int:
    """How often its container was made anew; fails where it does not run."""
    status = _status(cluster, name)
    assert "running" in status["state"], status
    return int(status["restartCount"])


@contextmanager
def _tried(cluster: Cluster, node: str, image: str) -> Iterator[tuple[str, dict[str, Any]]]:
    name = f"pulls-{uuid.uuid4().hex[:8]}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "app", "image": image, "imagePullPolicy": "Always"}],
        },
    }
    eventually(lambda: cluster.lab.objects("serviceaccounts --field-selector=metadata.name=default"))
    cluster.lab.kubectl("apply --filename=-", manifest)
    try:
        yield name, eventually(lambda: _outcome(_status(cluster, name)), 60, f"{image} runs on {node} or is refused")
    finally:
        cluster.lab.kubectl(f"delete pod {name} --wait=false")


def _status(cluster: Cluster, name: str) -> dict[str, Any]:
    (found,) = cluster.lab.objects(f"pods --field-selector=metadata.name={name}")
    return dict(next(iter(found["status"].get("containerStatuses", [])), {}))


def _outcome(status: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = status.get("state", {})
    return state if "running" in state or state.get("waiting", {}).get("reason") == "ErrImagePull" else {}
