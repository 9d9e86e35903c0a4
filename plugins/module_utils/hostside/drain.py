"""Drains a node as disruption budgets allow. Pods of a node whose kubelet does not report are left to the caller.

From a node that `returns`, unmanaged pods are not evicted: they start again with their node.
"""

from __future__ import annotations

import time
from typing import Dict, List, Optional
from urllib.parse import quote

from .api import API, MERGE, Document, RefusedError
from .errors import HostError
from .waiting import pause

PAUSE = 0.5
MIRROR = "kubernetes.io/config.mirror"
DONE = ("Succeeded", "Failed")
BLOCKED = (
    "nothing was changed, for {name} can't be emptied: {told}. Let the disruption budget allow it (more pods elsewhere,"
    " or a smaller minAvailable), then run this again"
)


def pods(api: API, node: str, *, returns: bool = False) -> List[Document]:
    """The pods on a node that have to go elsewhere: not those of DaemonSets, nor kubelet's own, nor ended ones."""
    found = api.request("GET", f"/api/v1/pods?fieldSelector={quote(f'spec.nodeName={node}')}")["items"]
    return [pod for pod in found if not _stays(pod) and not (returns and lonely(pod))]


def lonely(pod: Document) -> bool:
    """Whether nobody makes it anew elsewhere."""
    return not pod["metadata"].get("ownerReferences")


def _stays(pod: Document) -> bool:
    metadata = pod["metadata"]
    owners = {owner["kind"] for owner in metadata.get("ownerReferences", []) if owner.get("controller")}
    return "DaemonSet" in owners or MIRROR in metadata.get("annotations", {}) or pod["status"].get("phase") in DONE


def title(pod: Document) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def silent(node: Document) -> bool:
    """Whether nothing is heard of the node's kubelet: what runs there can't be ended in order, if it runs at all."""
    conditions = node["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "Unknown" for one in conditions)


def foresee(api: API, node: str, *, returns: bool = False) -> Dict[str, List[str]]:
    """A dry run of all evictions: what described() says; HostError names budgets in the way."""
    there = pods(api, node, returns=returns)
    if blocked := [f"{title(pod)}: {why}" for pod in there if (why := evict(api, pod, check=True))]:
        raise HostError(BLOCKED.format(name=node, told="; ".join(blocked)))
    return described(there)


def described(there: List[Document]) -> Dict[str, List[str]]:
    """{pods, lost: [unmanaged ones], empty_dirs: [those with data that is deleted with them]}, by NAMESPACE/NAME."""
    return {
        "pods": [title(pod) for pod in there],
        "lost": [title(pod) for pod in there if lonely(pod)],
        "empty_dirs": [title(pod) for pod in there if any("emptyDir" in one for one in pod["spec"].get("volumes", []))],
    }


def planned(api: API, node: Document, *, returns: bool = False) -> List[str]:
    """The changes that drain() makes, one sentence each."""
    name = node["metadata"]["name"]
    changes = [] if node["spec"].get("unschedulable") else [f"cordon {name}"]
    going = described([] if silent(node) else pods(api, name, returns=returns))
    if going["pods"]:
        changes.append(f"drain {name}: evict {len(going['pods'])} pods")
    if going["empty_dirs"]:
        changes.append(f"delete emptyDir data on {name}: {', '.join(going['empty_dirs'])}")
    return changes


def drain(api: API, node: str, seconds: float, *, returns: bool = False) -> bool:
    """Cordon the node, evict its pods and wait until they are gone. False where its kubelet stopped reporting before.

    HostError after `seconds`, which names what is still there and why; the node stays cordoned. It also does where the
    run ends meanwhile: no further pod is evicted then.
    """
    path = f"/api/v1/nodes/{quote(node)}"
    api.request("PATCH", path, {"spec": {"unschedulable": True}}, MERGE)
    deadline = time.monotonic() + seconds
    while True:
        there, waiting = pods(api, node, returns=returns), {}
        if not there:
            return True
        if (now := api.get(path)) is None or silent(now):
            return False
        for pod in there:
            why = None if pod["metadata"].get("deletionTimestamp") else evict(api, pod, check=False)
            waiting[title(pod)] = why or "it has not ended yet"
        if time.monotonic() > deadline:
            told = "; ".join(f"{name}: {why}" for name, why in sorted(waiting.items()))
            raise HostError(
                f"after {seconds:.0f} s there still are pods on {node} ({told}). It takes no new ones: run this again"
                f" once they can go, or give it up with kubectl uncordon {node}"
            )
        pause(PAUSE)


def force_delete(api: API, there: List[Document]) -> None:
    """Delete pods from the API without waiting for their end, so that replacements start at once."""
    for pod in there:
        try:
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
            api.request("DELETE", _path(pod), body)
        except RefusedError as refusal:
            if refusal.status not in (404, 409):
                raise


def _path(pod: Document) -> str:
    return f"/api/v1/namespaces/{quote(pod['metadata']['namespace'])}/pods/{quote(pod['metadata']['name'])}"


def evict(api: API, pod: Document, *, check: bool) -> Optional[str]:
    """Why the pod may not be evicted now, None where it was, or with `check` may be."""
    names = {key: pod["metadata"][key] for key in ("name", "namespace")}
    body: Document = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": names}
    patience, api.patience = api.patience, 0
    try:
        api.request("POST", f"{_path(pod)}/eviction{'?dryRun=All' if check else ''}", body)
    except RefusedError as refusal:
        if refusal.status == 404:
            return None
        if refusal.status in (429, 500):
            return "; ".join(refusal.causes) or refusal.message
        raise HostError(f"{title(pod)} can't be evicted: {refusal.message}") from None
    finally:
        api.patience = patience
    return None
