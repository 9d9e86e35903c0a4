"""Takes the pods off a node, as disruption budgets allow; a node whose kubelet is silent is not waited for.

From a node that `returns` no pod goes that nobody would make anew: it starts again with its node. Nor is anything given
up there: a kubelet that was silent ends its pods when it is back.
"""

from __future__ import annotations

import time
from typing import Dict, List, Optional
from urllib.parse import quote

from .api import API, MERGE, Document, RefusedError
from .errors import HostError

PAUSE = 0.5
MIRROR = "kubernetes.io/config.mirror"
DONE = ("Succeeded", "Failed")
BLOCKED = (
    "nothing was changed, for {name} can't be emptied: {told}. Let the disruption budget allow it (more pods elsewhere,"
    " or a smaller minAvailable), then run this again"
)
SILENT = "its kubelet is silent: {} pods can't be ended in order, and end with the node"


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
    """A dry run of all evictions: {pods, lost: [those that nobody makes anew]}; HostError names budgets in the way."""
    there = pods(api, node, returns=returns)
    if blocked := [f"{title(pod)}: {why}" for pod in there if (why := _evict(api, pod, check=True))]:
        raise HostError(BLOCKED.format(name=node, told="; ".join(blocked)))
    return {"pods": [title(pod) for pod in there], "lost": [title(pod) for pod in there if lonely(pod)]}


def drain(api: API, node: str, seconds: float, *, returns: bool = False) -> str:
    """Cordon the node, evict its pods and wait until they are gone; a sentence of what was done.

    HostError after `seconds`, which names what is still there and why; the node stays cordoned.
    """
    path = f"/api/v1/nodes/{quote(node)}"
    api.request("PATCH", path, {"spec": {"unschedulable": True}}, MERGE)
    deadline, evicted = time.monotonic() + seconds, set()
    while True:
        there, waiting = pods(api, node, returns=returns), {}
        if not there:
            return f"{len(evicted)} pods evicted" if evicted else "no pods to evict"
        if (now := api.get(path)) is None or silent(now):
            return SILENT.format(len(there)) if returns else abandon(api, there)
        for pod in there:
            if pod["metadata"].get("deletionTimestamp"):
                waiting[title(pod)] = "it has not ended yet"
            elif why := _evict(api, pod, check=False):
                waiting[title(pod)] = why
            else:
                evicted.add(title(pod))
                waiting[title(pod)] = "it has not ended yet"
        if time.monotonic() > deadline:
            told = "; ".join(f"{name}: {why}" for name, why in sorted(waiting.items()))
            raise HostError(
                f"after {seconds:.0f} s there still are pods on {node} ({told}). It takes no new ones: run this again"
                f" once they can go, or give it up with kubectl uncordon {node}"
            )
        time.sleep(PAUSE)


def abandon(api: API, there: List[Document]) -> str:
    """Have the API forget pods that nobody can end in order, so that others take their place at once."""
    for pod in there:
        try:
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
            api.request("DELETE", _path(pod), body)
        except RefusedError as refusal:
            if refusal.status not in (404, 409):
                raise
    return f"its kubelet is silent: {len(there)} pods given up without waiting for their end"


def _path(pod: Document) -> str:
    return f"/api/v1/namespaces/{quote(pod['metadata']['namespace'])}/pods/{quote(pod['metadata']['name'])}"


def _evict(api: API, pod: Document, *, check: bool) -> Optional[str]:
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
