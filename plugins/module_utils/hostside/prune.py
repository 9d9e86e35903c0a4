"""Deletes objects that left the manifests of an owner, and none that it has not created.

What was applied is recorded in the ConfigMap RECORD of kube-system, {owner: [Entry]}, to which nodes can't write. What
the owner created also has the label LABEL with its name. An object is deleted only if it is recorded, no longer listed
and labelled: one that existed before it was listed, was made again by somebody else, or lost the label stays.

The record gains entries before objects are applied and loses them after others were deleted: whatever a run that is cut
short has created is recorded.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import notes
from .api import API, Document, RefusedError, Resource
from .errors import HostError
from .objects import clean, masked, rank, title

RECORD = "kubeinstall-manifests"
LABEL = "kubeinstall/owner"
# The API does not let these go.
PERMANENT = ("default", "kube-node-lease", "kube-public", "kube-system")
# API groups of Kubernetes itself, besides those of the domain k8s.io.
BUILT_IN = ("", "apps", "autoscaling", "batch", "policy")
# In the order of JSON, so that a difference shows what differs only.
ENTRY = ("apiVersion", "kind", "name", "namespace")

Entry = Dict[str, str]


class Leaving(NamedTuple):
    """`objects` are (path, object) in the order of their deletion; `kept` are sentences on what stays, and why."""

    recorded: List[Entry]
    wanted: List[Entry]
    objects: List[Tuple[str, Document]]
    kept: List[str]


def entries(objects: Sequence[Document]) -> List[Entry]:
    found = [
        {
            "apiVersion": str(one["apiVersion"]),
            "kind": str(one["kind"]),
            "name": str(one["metadata"]["name"]),
            "namespace": str(one["metadata"].get("namespace") or ""),
        }
        for one in objects
    ]
    return sorted(found, key=_identity)


def find(api: API, owner: str, wanted: List[Entry]) -> Leaving:
    """What is recorded and not `wanted`."""
    recorded = _recorded(api, owner)
    listed = {_identity(entry) for entry in wanted}
    objects, kept = [], []
    for entry in recorded:
        if _identity(entry) in listed:
            continue
        try:
            path = _path(api, entry)
            there = api.get(path) if path else None
        except RefusedError as refusal:
            what = f"{entry['kind']} {entry['name']} left {owner}, and the API refuses to show it"
            raise HostError(f"{what}: {refusal.message}") from None
        if there is None or there["metadata"].get("deletionTimestamp"):
            continue
        if there["metadata"].get("labels", {}).get(LABEL) != owner:
            kept.append(f"{title(there)} left {owner} and stays: it has no label {LABEL}={owner}")
        elif there["kind"] == "Namespace" and there["metadata"]["name"] in PERMANENT:
            kept.append(f"{title(there)} left {owner} and stays: Kubernetes needs it")
        else:
            objects.append((path, there))
    objects.sort(key=lambda one: rank(one[1]), reverse=True)
    return Leaving(recorded, wanted, objects, kept)


def data_losses(api: API, leaving: Leaving) -> List[str]:
    """A sentence on each object whose deletion deletes data."""
    found = ((title(there), _loss(api, there)) for _, there in leaving.objects)
    return [f"{name}: {loss}" for name, loss in found if loss]


def asked(api: API, owner: str, wanted: List[Entry]) -> List[str]:
    """The data losses of a run with these manifests. What keeps it from being known is said when they are applied."""
    try:
        return data_losses(api, find(api, owner, wanted))
    except (HostError, RefusedError):
        return []


def begin(api: API, owner: str, leaving: Leaving) -> None:
    """Record what is going to be applied, besides what was."""
    _write(api, owner, _both(leaving), leaving.recorded)


def finish(api: API, owner: str, leaving: Leaving) -> None:
    """Delete what left, then record what is applied."""
    for path, there in leaving.objects:
        # Jobs would leave their pods behind: their API's default is Orphan.
        options = {"preconditions": {"uid": there["metadata"]["uid"]}, "propagationPolicy": "Background"}
        try:
            api.request("DELETE", path, options)
        except RefusedError as refusal:
            if refusal.status != 404:
                raise HostError(f"{title(there)}: the API refuses to delete it: {refusal.message}") from None
    _write(api, owner, leaving.wanted, _both(leaving))


def changes(owner: str, leaving: Leaving) -> Iterator[Dict[str, Any]]:
    """In the form of hostside/manifests.py."""
    if leaving.recorded != leaving.wanted:
        yield {
            "action": "change" if leaving.recorded else "create",
            "what": f"ConfigMap kube-system/{RECORD}",
            "place": owner,
            "before": {owner: leaving.recorded} if leaving.recorded else None,
            "after": {owner: leaving.wanted},
        }
    for _, there in leaving.objects:
        before = masked(None, clean(there))[1]
        place = f"no longer in {owner}"
        yield {"action": "delete", "what": title(there), "place": place, "before": before, "after": None}


def labelled(document: Document, owner: str) -> Document:
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), LABEL: owner}}}


def owned(before: Optional[Document], owner: str) -> bool:
    """Whether the object is to be created, or was created from the same manifests."""
    return before is None or before["metadata"].get("labels", {}).get(LABEL) == owner


def _identity(entry: Entry) -> Tuple[str, str, str, str]:
    """The same for all versions of an API, and wherever the object was written."""
    group = entry["apiVersion"].rpartition("/")[0]
    return group, entry["kind"], entry["namespace"] or "default", entry["name"]


def _recorded(api: API, owner: str) -> List[Entry]:
    data = (api.get(f"{notes.CONFIG_MAPS}/{RECORD}") or {}).get("data") or {}
    try:
        found = json.loads(data.get(owner, "[]"))
        if isinstance(found, list) and all(map(_valid, found)):
            return found
    except ValueError:
        pass
    raise HostError(
        f"ConfigMap kube-system/{RECORD}: the entry {owner} is damaged. Remove it; objects that the manifests no longer"
        " list stay in the cluster then"
    )


def _valid(entry: Any) -> bool:
    named = isinstance(entry, dict) and entry.keys() == set(ENTRY)
    return named and all(isinstance(text, str) for text in entry.values())


def _both(leaving: Leaving) -> List[Entry]:
    listed = {_identity(entry) for entry in leaving.wanted}
    others = [entry for entry in leaving.recorded if _identity(entry) not in listed]
    return sorted([*leaving.wanted, *others], key=_identity)


def _write(api: API, owner: str, wanted: List[Entry], there: List[Entry]) -> None:
    if wanted != there:
        notes.write(api, RECORD, {owner: wanted})


def _path(api: API, entry: Entry) -> str:
    """Empty where the kind is gone, and its objects with it."""
    resource = _resource(api, entry["apiVersion"], entry["kind"])
    if resource is None:
        return ""
    return resource.path((entry["namespace"] or "default") if resource.namespaced else "", entry["name"])


def _resource(api: API, version: str, kind: str) -> Optional[Resource]:
    """By another version of the API where this one is not served any more."""
    found, group = api.resource(version, kind), version.rpartition("/")[0]
    if found is None and group and (about := api.get(f"/apis/{group}")):
        return api.resource(about["preferredVersion"]["groupVersion"], kind)
    return found


def _loss(api: API, there: Document) -> str:
    """Why data goes with this object; empty where none does."""
    kind, group = there["kind"], there["apiVersion"].rpartition("/")[0]
    if kind == "Namespace":
        return "all objects in it are deleted"
    if kind in ("PersistentVolumeClaim", "PersistentVolume") and not group:
        return "the data of the volume may be deleted"
    if kind == "StatefulSet":
        policy = there["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        return "its volume claims are deleted with it" if policy.get("whenDeleted") == "Delete" else ""
    if kind == "CustomResourceDefinition":
        return _instances(api, there)
    if group not in BUILT_IN and not group.endswith(".k8s.io"):
        return "its controller may delete data with it"
    return ""


def _instances(api: API, definition: Document) -> str:
    spec = definition["spec"]
    version = next((one["name"] for one in spec["versions"] if one.get("served")), "")
    path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1"
    found = (api.get(path) if version else None) or {"items": []}
    count = len(found["items"]) + int((found.get("metadata") or {}).get("remainingItemCount") or 0)
    if count < 2:
        return "1 object of this kind is deleted with it" if count else ""
    return f"{count} objects of this kind are deleted with it"
