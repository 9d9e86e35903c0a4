"""Labels and taints of nodes: ours are set and, once no longer wanted, removed; all others stay.

Which ones are ours is recorded in the ConfigMap RECORD of kube-system, {node: {labels: [KEY], taints: [KEY:EFFECT]}}.
Kubelets and flannel can write to Node objects, managedFields included, and not to that ConfigMap. The cluster lock
keeps other runs away; a write replaces the entries of its own nodes only.
"""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import notes
from .api import API, MERGE, Document, RefusedError
from .errors import HostError
from .waiting import pause

RECORD = "kubeinstall-nodes"
# The record of earlier versions, on the Node. It does not decide what is removed.
FORMER = "kubeinstall/taints"
CONFLICTS = 10
NOTHING: Dict[str, List[str]] = {"labels": [], "taints": []}

Change = Dict[str, Any]
Taint = Dict[str, str]
Entry = Dict[str, List[str]]


class Found(NamedTuple):
    """What one node has, as far as it matters here; `former` is the record of an earlier version."""

    labels: Dict[str, str]
    taints: List[Taint]
    former: Optional[str]
    former_labels: List[str]


def settle(
    api: API, wanted: Dict[str, Any], *, check: bool, patience: float, manager: str
) -> Tuple[List[Change], List[str]]:
    """Make the nodes' labels and taints so; the changes and warnings. Waits `patience` seconds for each to register.

    The record gains entries before the nodes change and loses entries after: whatever a run that is cut short has set
    or not yet removed is recorded.
    """
    if not wanted:
        return [], []
    record = _recorded(api)
    found = {name: _find(api, name, None if check else patience, manager) for name in wanted}
    changes = differences(found, wanted, record)
    warnings = [
        text
        for name, node in found.items()
        if node and name not in record and (text := _left(name, node, wanted[name]))
    ]
    if changes and not check:
        final = {name: _entry(one) for name, one in wanted.items()}
        both = {name: _union(record.get(name, NOTHING), entry) for name, entry in final.items()}
        _write(api, both, record)
        for name, node in found.items():
            ours = record.get(name, NOTHING)
            if _difference(name, node, wanted[name], ours):
                _set(api, name, wanted[name], ours, manager)
        _write(api, final, both)
    return changes, warnings


def forget(api: API, name: str) -> None:
    """A node that is gone: one of the same name begins without labels and taints of ours."""
    if name in notes.read(api, RECORD):
        notes.remove(api, RECORD, [name])


def differences(found: Dict[str, Optional[Found]], wanted: Dict[str, Any], record: Dict[str, Entry]) -> List[Change]:
    """What changes, in the form of hostside/manifests.py; a node is None while it isn't registered."""
    before = {name: record[name] for name in wanted if name in record}
    after = {name: _entry(one) for name, one in wanted.items()}
    changes = []
    if before != after:
        action = "change" if record else "create"
        what = f"ConfigMap kube-system/{RECORD}"
        changes.append({"action": action, "what": what, "place": "nodes", "before": before or None, "after": after})
    for name, node in found.items():
        change = _difference(name, node, wanted[name], record.get(name, NOTHING))
        changes += [change] if change else []
    return changes


def _recorded(api: API) -> Dict[str, Entry]:
    record = notes.read(api, RECORD)
    for name, entry in record.items():
        lists = [entry.get(key) for key in NOTHING] if isinstance(entry, dict) else [None]
        if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
            raise HostError(
                f"ConfigMap kube-system/{RECORD}: the entry {name} is damaged. Remove it; labels and taints that the"
                " inventory no longer lists stay on that node then"
            )
    return record


def _write(api: API, entries: Dict[str, Entry], there: Dict[str, Entry]) -> None:
    if changed := {name: entry for name, entry in entries.items() if entry != there.get(name)}:
        notes.write(api, RECORD, changed)


def _entry(wanted: Dict[str, Any]) -> Entry:
    return {"labels": sorted(wanted["labels"]), "taints": sorted(map(_identity, wanted["taints"]))}


def _union(one: Entry, other: Entry) -> Entry:
    return {key: sorted({*one[key], *other[key]}) for key in NOTHING}


def _find(api: API, name: str, patience: Optional[float], manager: str) -> Optional[Found]:
    deadline = time.monotonic() + (patience or 0)
    while (node := api.get(_path(name))) is None and patience is not None:
        if time.monotonic() >= deadline:
            raise HostError(
                f"Node {name} was not registered within {patience:.0f} s: look at its kubelet (journalctl -u kubelet)"
            )
        pause(0.25)
    return _of(node, manager) if node else None


def _path(name: str) -> str:
    return f"/api/v1/nodes/{name}"


def _of(node: Document, manager: str) -> Found:
    metadata = node["metadata"]
    fields = [
        entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
        for entry in metadata.get("managedFields", [])
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
    ]
    owned = [name[2:] for labels in fields for name in labels if name.startswith("f:")]
    former = metadata.get("annotations", {}).get(FORMER)
    return Found(metadata.get("labels", {}), node.get("spec", {}).get("taints", []), former, owned)


def _difference(name: str, node: Optional[Found], wanted: Dict[str, Any], ours: Entry) -> Optional[Change]:
    there = node or Found({}, [], None, [])
    keys = {*ours["labels"], *wanted["labels"]}
    before = {
        "labels": {key: there.labels[key] for key in sorted(keys) if key in there.labels},
        "annotations": {} if there.former is None else {FORMER: there.former},
        "taints": there.taints,
    }
    after = {
        "labels": dict(sorted(wanted["labels"].items())),
        "annotations": {},
        "taints": merged(there.taints, ours["taints"], wanted["taints"]),
    }
    if before == after:
        return None
    what, action = f"Node {name}", "change" if node else "create"
    return {"action": action, "what": what, "place": "nodes", "before": before if node else None, "after": after}


def _left(name: str, node: Found, wanted: Dict[str, Any]) -> str:
    """What an earlier version has set, by the node's own account, and is no longer wanted."""
    former = _parsed(node.former)
    taints = {_identity(one) for one in node.taints} & former - {_identity(one) for one in wanted["taints"]}
    labels = {key for key in node.former_labels if key in node.labels} - set(wanted["labels"])
    if not taints | labels:
        return ""
    keys = ", ".join([*(f"the label {key}" for key in sorted(labels)), *(f"the taint {one}" for one in sorted(taints))])
    return (
        f"Node {name} keeps {keys}: only the node's own record says that an earlier version set this. Remove what you"
        f" don't want: kubectl label node {name} KEY-, kubectl taint node {name} KEY:EFFECT-"
    )


def _parsed(former: Optional[str]) -> Any:
    """The identities in an annotation that anybody may have written."""
    try:
        parsed = json.loads(former or "[]")
    except ValueError:
        return set()
    taints = parsed if isinstance(parsed, list) else []
    return {f"{one.get('key')}:{one.get('effect')}" for one in taints if isinstance(one, dict)}


def _identity(taint: Taint) -> str:
    return f"{taint['key']}:{taint['effect']}"


def merged(there: List[Taint], ours: List[str], wanted: List[Taint]) -> List[Taint]:
    """The node's taints as they should be: foreign ones stay, and so does the order of those that are right."""
    values = {_identity(taint): taint.get("value", "") for taint in wanted}
    kept = [
        taint
        for taint in there
        if _identity(taint) not in {*ours, *values} or values.get(_identity(taint)) == taint.get("value", "")
    ]
    present = {_identity(taint) for taint in kept}
    return kept + [taint for taint in wanted if _identity(taint) not in present]


def _set(api: API, name: str, wanted: Dict[str, Any], ours: Entry, manager: str) -> None:
    """Write only onto the node that was read: its controllers add and remove taints all the time."""
    for attempt in range(CONFLICTS):
        try:
            node = api.request("GET", _path(name))
            taints = merged(node["spec"].get("taints", []), ours["taints"], wanted["taints"])
            metadata = {
                "resourceVersion": node["metadata"]["resourceVersion"],
                "labels": {**dict.fromkeys(ours["labels"]), **wanted["labels"]},
                "annotations": {FORMER: None},
            }
            body = {"metadata": metadata, "spec": {"taints": taints or None}}
            api.request("PATCH", f"{_path(name)}?fieldManager={manager}", body, MERGE)
            return
        except RefusedError as refusal:
            if refusal.status != 409 or attempt == CONFLICTS - 1:
                raise HostError(f"Node {name}: the API refuses its labels or taints: {refusal.message}") from None
