"""Nodes, pods and disruption budgets on a real API server, as kubelets and controllers would report them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, MERGE

__all__ = ["budget", "pod", "report", "rooted"]

# What else a node has to say of itself.
OTHERS = (
    *("systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"),
    *("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
)


def report(api: API, name: str, ready: str, heard: str = "2026-01-01T00:00:00Z") -> None:
    status: dict[str, Any] = {
        "conditions": [{"type": "Ready", "status": ready, "lastHeartbeatTime": heard, "message": "no network"}],
        "addresses": [{"type": "InternalIP", "address": "192.0.2.21"}],
        "nodeInfo": {"machineID": "8f14", **dict.fromkeys(OTHERS, "")},
    }
    api.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, MERGE)


def rooted(access: dict[str, Any]) -> dict[str, Any]:
    """The access with a root directory for the host's lock, which several tests take."""
    return {**access, "root": str(Path(access["key"]).parent / "root")}


def pod(
    api: API,
    node: str,
    name: str,
    *,
    owner: str = "",
    phase: str = "Running",
    grace: int = 0,
    volumes: tuple[dict[str, Any], ...] = (),
    annotations: dict[str, str] | None = None,
) -> None:
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "x", "uid": "1", "controller": True}] if owner else []
    metadata = {"name": name, "labels": {"app": name}, "ownerReferences": owners, "annotations": annotations or {}}
    spec = {
        "nodeName": node,
        "containers": [{"name": "x", "image": "x"}],
        "terminationGracePeriodSeconds": grace,
        "volumes": list(volumes),
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    api.request("POST", "/api/v1/namespaces/default/pods", body)
    conditions = [{"type": "Ready", "status": "True"}]
    path = f"/api/v1/namespaces/default/pods/{name}/status"
    api.request("PATCH", path, {"status": {"phase": phase, "conditions": conditions}}, MERGE)


def budget(api: API, name: str, allowed: int) -> None:
    """A disruption budget of one pod, as its controller would have reckoned it."""
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}
    if not api.get(f"{path}/{name}"):
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
        api.request("POST", path, body)
    status = {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    patch = {"status": {**status, "observedGeneration": 1}}
    api.request("PATCH", f"{path}/{name}/status", patch, MERGE)
