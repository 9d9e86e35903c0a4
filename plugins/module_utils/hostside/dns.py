"""The cluster's DNS around the restart of a node: its pods there are ready again, and not all on another one."""

from __future__ import annotations

import time
from typing import Any, Dict, List
from urllib.parse import quote

from . import drain, node_status, rollout
from .api import API, Document
from .errors import HostError
from .waiting import pause

NAMESPACE, NAME = "kube-system", "coredns"
# Its pods tolerate this one (roles/coredns); those of node.kubernetes.io pass.
TOLERATED = "node-role.kubernetes.io/control-plane"
PASSING = "node.kubernetes.io/"
PAUSE = 0.5


def settle(api: API, spec: Dict[str, Any]) -> None:
    """Wait until its pods on the node `name` are ready since `booted`; HostError after `seconds`."""
    if (selector := _selector(api)) is None:
        return
    name, deadline = spec["name"], time.monotonic() + spec["seconds"]
    while waiting := [drain.title(pod) for pod in _pods(api, selector, name) if not _runs(pod, spec["booted"])]:
        if time.monotonic() > deadline:
            raise HostError(
                f"after {spec['seconds']:.0f} s the cluster's DNS on {name} is not ready since its reboot:"
                f" {', '.join(waiting)} (kubectl -n {NAMESPACE} describe pods)"
            )
        pause(PAUSE)
    rollout.wait(api, {"nodes": [], "deployments": [f"{NAMESPACE}/{NAME}"]}, spec["seconds"])


def spread(api: API, spec: Dict[str, Any]) -> None:
    """Evict one of the pods that came together on another node while `name` was drained; the constraint brings it here.

    Kubernetes does not move running pods. Where the node takes no pod of it, nothing is done.
    """
    if (selector := _selector(api)) is None:
        return
    name, deadline = spec["name"], time.monotonic() + spec["seconds"]
    while True:
        together = _together(api, selector, name)
        node = api.request("GET", f"/api/v1/nodes/{quote(name)}")
        shut = [taint["key"] for taint in node["spec"].get("taints", []) if taint["effect"] != "PreferNoSchedule"]
        shut = [key for key in shut if key != TOLERATED]
        if not together or any(not key.startswith(PASSING) for key in shut):
            return
        if not shut and drain.evict(api, together[0], check=False) is None:
            break
        if time.monotonic() > deadline:
            return
        pause(PAUSE)
    rollout.wait(api, {"nodes": [], "deployments": [f"{NAMESPACE}/{NAME}"]}, spec["seconds"])


def _together(api: API, selector: str, name: str) -> List[Document]:
    """The pods of the node that has most of them, if it has several and the node `name` has none."""
    nodes: Dict[str, List[Document]] = {}
    for pod in _pods(api, selector):
        if not pod["metadata"].get("deletionTimestamp") and pod["spec"].get("nodeName"):
            nodes.setdefault(pod["spec"]["nodeName"], []).append(pod)
    most = max(nodes.values(), key=len, default=[])
    return most if len(most) > 1 and name not in nodes else []


def _selector(api: API) -> str | None:
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}")
    if deployment is None:
        return None
    return quote(",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items()))


def _pods(api: API, selector: str, node: str = "") -> List[Document]:
    there = f"&fieldSelector={quote(f'spec.nodeName={node}')}" if node else ""
    return list(api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}{there}")["items"])


def _runs(pod: Document, booted: float) -> bool:
    """Whether it is ready, by what was started since; the API has the state from before the boot for a while."""
    if pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") in drain.DONE:
        return True
    states = [one.get("state", {}).get("running") for one in pod["status"].get("containerStatuses", [])]
    started = all(state and node_status.seconds(state["startedAt"]) >= int(booted) for state in states)
    return started and any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", [])
    )
