"""Waiting until what was asked of the cluster is there: nodes Ready, deployments available."""

from __future__ import annotations

import time
from typing import Any

from .api import API
from .errors import HostError
from .waiting import pause


def wait(api: API, wanted: dict[str, Any], patience: float) -> None:
    """Wait until `nodes` [name] and `deployments` [namespace/name] are ready; a HostError names those that are not."""
    deadline = time.monotonic() + patience
    while True:
        missing = [text for name in wanted["nodes"] if (text := _node(api, name))]
        missing += [text for name in wanted["deployments"] if (text := _deployment(api, name))]
        if not missing:
            return
        if time.monotonic() >= deadline:
            raise HostError(f"not ready within {patience:.0f} s: {'; '.join(missing)}")
        pause(0.25)


def _node(api: API, name: str) -> str | None:
    node = api.get(f"/api/v1/nodes/{name}")
    conditions = node["status"].get("conditions", []) if node else []
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    if ready is None:
        return f"Node {name} has not said how it is: journalctl -u kubelet on it"
    # Unknown: its kubelet has been silent for long. A dead host is status's and verify's to tell, and holds up no run.
    return f"Node {name} is not Ready: {ready.get('message')}" if ready["status"] == "False" else None


def _deployment(api: API, name: str) -> str | None:
    namespace, _, short = name.partition("/")
    deployment = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{short}")
    if deployment is None:
        return f"there is no Deployment {name}"
    status, replicas = deployment.get("status", {}), deployment["spec"]["replicas"]
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]
    if current and counts == [replicas] * 3:
        return None
    return f"Deployment {name} has {min(counts)} of {replicas} pods: kubectl -n {namespace} describe pods"
