"""Labels and taints of nodes: ours are set and, once no longer wanted, removed; everybody else's stay."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Optional, Set

from .api import API, APPLY, MERGE, Document, RefusedError
from .errors import HostError

# Remembers on the node which taints are ours. Labels need no such note: server-side apply keeps who owns them.
NOTE = "kubeinstall/taints"
CONFLICTS = 10

Taint = Dict[str, str]


def settle(
    api: API, name: str, wanted: Dict[str, Any], *, check: bool, patience: float, manager: str
) -> Optional[Dict[str, Any]]:
    """Make one node's labels and taints so; its change, or None. Waits `patience` seconds for it to be registered."""
    path = f"/api/v1/nodes/{name}"
    node = api.get(path) if check else _registered(api, path, name, patience)
    change = difference(name, node, wanted, manager)
    if node is not None and not check:
        try:
            _set_labels(api, path, node, wanted["labels"], manager)
            if change:
                _set_taints(api, path, wanted["taints"], manager)
        except RefusedError as refusal:
            raise HostError(f"Node {name}: the API refuses its labels or taints: {refusal.message}") from None
    return change


def _registered(api: API, path: str, name: str, patience: float) -> Document:
    deadline = time.monotonic() + patience
    while True:
        node = api.get(path)
        if node is not None:
            return node
        if time.monotonic() >= deadline:
            raise HostError(
                f"Node {name} was not registered within {patience:.0f} s: look at its kubelet (journalctl -u kubelet)"
            )
        time.sleep(0.25)


def difference(name: str, node: Optional[Document], wanted: Dict[str, Any], manager: str) -> Optional[Dict[str, Any]]:
    """What changes on a node, in the form of hostside/manifests.py; `node` is None while it isn't registered."""
    there = node or {"metadata": {}}
    labels = there["metadata"].get("labels", {})
    ours = _owned_labels(there, manager) | set(wanted["labels"])
    before = {"labels": {key: labels[key] for key in sorted(ours) if key in labels}, **_taints(there)}
    note = {NOTE: _note(wanted["taints"])} if wanted["taints"] else {}
    after = {
        "labels": dict(sorted(wanted["labels"].items())),
        "annotations": note,
        "taints": merged(before["taints"], _noted(there), wanted["taints"]),
    }
    if before == after:
        return None
    what, action = f"Node {name}", "change" if node else "create"
    return {"action": action, "what": what, "place": "nodes", "before": before if node else None, "after": after}


def _taints(node: Document) -> Document:
    note = node["metadata"].get("annotations", {}).get(NOTE)
    return {"annotations": {NOTE: note} if note else {}, "taints": node.get("spec", {}).get("taints", [])}


def _note(taints: List[Taint]) -> str:
    return json.dumps(taints, sort_keys=True, separators=(",", ":"))


def _noted(node: Document) -> List[Taint]:
    try:
        return list(json.loads(node["metadata"].get("annotations", {}).get(NOTE, "[]")))
    except ValueError:
        return []


def _identity(taint: Taint) -> Any:
    return taint["key"], taint["effect"]


def merged(there: List[Taint], noted: List[Taint], wanted: List[Taint]) -> List[Taint]:
    """The node's taints as they should be: foreign ones stay, and so does the order of those that are right."""
    values = {_identity(taint): taint.get("value", "") for taint in wanted}
    ours = {_identity(taint) for taint in noted} | set(values)
    kept = [
        taint
        for taint in there
        if _identity(taint) not in ours or values.get(_identity(taint)) == taint.get("value", "")
    ]
    present = {_identity(taint) for taint in kept}
    return kept + [taint for taint in wanted if _identity(taint) not in present]


def _owned_labels(node: Document, manager: str) -> Set[str]:
    """The labels that an earlier apply of ours has set."""
    owned: Set[str] = set()
    for entry in node["metadata"].get("managedFields", []):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            fields = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
            owned |= {name[2:] for name in fields if name.startswith("f:")}
    return owned


def _set_labels(api: API, path: str, node: Document, labels: Dict[str, str], manager: str) -> None:
    # The uid keeps an apply from making a node that was deleted since we looked.
    metadata = {"name": node["metadata"]["name"], "uid": node["metadata"]["uid"], "labels": labels}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    api.request("PATCH", f"{path}?fieldManager={manager}&force=true", body, APPLY)


def _set_taints(api: API, path: str, wanted: List[Taint], manager: str) -> None:
    """Write them only onto the node that was read: its controllers add and remove taints all the time."""
    for attempt in range(CONFLICTS):
        node = api.request("GET", path)
        taints = merged(_taints(node)["taints"], _noted(node), wanted)
        metadata = {
            "resourceVersion": node["metadata"]["resourceVersion"],
            "annotations": {NOTE: _note(wanted) if wanted else None},
        }
        try:
            body = {"metadata": metadata, "spec": {"taints": taints or None}}
            api.request("PATCH", f"{path}?fieldManager={manager}", body, MERGE)
            return
        except RefusedError as refusal:
            if refusal.status != 409 or attempt == CONFLICTS - 1:
                raise
