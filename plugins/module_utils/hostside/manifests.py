"""Server-side apply of Kubernetes objects and of the nodes' labels and taints, run on a control plane.

spec: server, authority, certificate, key (paths on the host), check, patience (seconds)
    others   [URL] of the cluster's other API servers, if any
    objects  [{object, place}], `place` being where it was written, for errors
    nodes    {name: {labels: {name: value}, taints: [{key, value, effect}]}}
    superseded, superseded_users
             [object] of earlier versions, which are deleted where they still have this content, unless any of these
             hosts may use them
    owner    name of these objects' owner, if any: what it no longer lists is deleted (hostside/prune.py)
    prune_confirm
             whether data may be deleted with them
    wait_for {nodes: [name], deployments: [namespace/name]} to be ready at the end
Returns {changes: [{action, what, place, before, after}], notices: [sentence], answered}; `before` and `after` are
documents without what the API adds by itself, secrets masked. With `check` nothing is touched; all is to be created
where no cluster answers yet.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import nodes, prune, rollout
from .answers import Answer
from .api import API, APPLY, Document, RefusedError, Resource, UnreachableError
from .errors import HostError
from .host import Host
from .objects import clean, masked, rank, title
from .waiting import pause

MANAGER = "kubeinstall"
# Seconds in which controllers make what an object just created needs: a definition's API, a default service account.
SETTLING = 15
CHECK_PATIENCE = 5


class Change(NamedTuple):
    action: str
    what: str
    place: str
    before: Optional[Dict[str, Any]]
    after: Optional[Dict[str, Any]]


class Settled(NamedTuple):
    changes: List[Change]
    notices: List[str]
    answered: bool


# The API is waited for, and then what is applied.
ANSWERS = {"main": Answer(Settled, seconds=600)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    check, owner = bool(spec["check"]), spec.get("owner", "")
    items = in_order(spec["objects"])
    patience = CHECK_PATIENCE if check else spec["patience"]
    try:
        access = {key: spec[key] for key in ("server", "authority", "certificate", "key")}
        api = API(**access, others=spec.get("others", ()), patience=patience)
        with Host(spec.get("root", "/")).acting("apply manifests", check=check), contextlib.closing(api):
            api.request("GET", "/version")
            leaving = _leaving(api, spec, owner)
            if owner and not check:
                prune.begin(api, owner, leaving)
            application = Application(api, check, owner)
            changes = [change for item in items if (change := application.settle(item))]
            of_nodes, notices = nodes.settle(
                api, spec["nodes"], check=check, patience=spec["patience"], manager=MANAGER
            )
            deleted, kept = supersede(api, spec.get("superseded", []), spec.get("superseded_users", []), check=check)
            if owner and not check:
                prune.finish(api, owner, leaving)
            if not check:
                rollout.wait(api, spec["wait_for"], spec["patience"])
    except UnreachableError:
        if not check:
            raise
        return {"changes": _all_new(items, spec["nodes"], owner), "notices": [], "answered": False}
    return {
        "changes": [*changes, *of_nodes, *deleted, *prune.changes(owner, leaving)],
        "notices": [*notices, *kept, *leaving.kept],
        "answered": True,
    }


def _leaving(api: API, spec: Dict[str, Any], owner: str) -> prune.Leaving:
    """What left the manifests. HostError where data would go with it, and that was not agreed to."""
    if not owner:
        return prune.Leaving([], [], [], [])
    leaving = prune.find(api, owner, prune.entries([item["object"] for item in spec["objects"]]))
    losses = [] if spec["check"] or spec["prune_confirm"] else prune.data_losses(api, leaving)
    if losses:
        raise HostError(
            f"objects that left {owner} would be deleted with their data: {'; '.join(losses)}. Nothing was applied."
            " List them again, or allow it: kubeinstall apply --yes, or -e prune_confirm=true of ansible-playbook"
        )
    return leaving


def supersede(
    api: API, objects: List[Document], users: List[str], *, check: bool
) -> Tuple[List[Dict[str, Any]], List[str]]:
    """Delete unmodified objects of earlier versions; the changes, and warnings of what stays."""
    changes: List[Dict[str, Any]] = []
    warnings = []
    for former in objects:
        resource = api.resource(former["apiVersion"], former["kind"])
        path = resource.path(former["metadata"].get("namespace", ""), former["metadata"]["name"]) if resource else ""
        there = api.get(path) if path else None
        if there is None or any(there.get(key) != value for key, value in former.items() if key != "metadata"):
            continue
        if users:
            warnings.append(
                f"{title(former)} stays: {', '.join(users)} may still use it. Run apply on these hosts too, or remove"
                " those that are gone (kubeinstall node remove)"
            )
            continue
        changes.append(
            {"action": "delete", "what": title(former), "place": "superseded", "before": clean(there), "after": None}
        )
        if not check:
            known = {key: there["metadata"][key] for key in ("uid", "resourceVersion")}
            try:
                api.request("DELETE", path, {"preconditions": known})
            except RefusedError as refusal:
                raise HostError(f"{title(former)}: the API refuses to delete it: {refusal.message}") from None
    return changes, warnings


def in_order(items: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """What others need comes first; the rest as written."""
    return sorted(items, key=lambda item: rank(item["object"]))


def _all_new(items: List[Dict[str, Any]], wanted_nodes: Dict[str, Any], owner: str) -> List[Dict[str, Any]]:
    objects = [item["object"] for item in items]
    changes = [
        _change("create", item, None, prune.labelled(one, owner) if owner else one) for item, one in zip(items, objects)
    ]
    of_nodes = nodes.differences(dict.fromkeys(wanted_nodes), wanted_nodes, {})
    leaving = prune.Leaving([], prune.entries(objects) if owner else [], [], [])
    return [*changes, *of_nodes, *prune.changes(owner, leaving)]


def _change(action: str, item: Dict[str, Any], before: Optional[Document], after: Document) -> Dict[str, Any]:
    shown_before, shown_after = masked(before, after)
    return {
        "action": action,
        "what": title(item["object"]),
        "place": item["place"],
        "before": shown_before,
        "after": shown_after,
    }


class Application:
    """Applies objects one after another; in check mode it remembers what an apply would have made by then."""

    def __init__(self, api: API, check: bool, owner: str = "") -> None:
        self.api, self.check, self.owner = api, check, owner
        self._promised_namespaces: List[str] = []
        self._promised_kinds: List[Tuple[str, str]] = []

    def settle(self, item: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Make one object so. Its change, or None. Raises HostError that names the object and its place."""
        try:
            return self._settle(item)
        except RefusedError as refusal:
            raise HostError(
                f"{title(item['object'])} ({item['place']}): the API refuses it: {refusal.message}"
            ) from None

    def _settle(self, item: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        wanted = item["object"]
        if self.check and self._depends_on_a_promise(wanted):
            return _change("create", item, None, self._labelled(wanted, None))
        resource = self._resource(item)
        wanted = self._placed(wanted, resource)
        item = {**item, "object": wanted}
        path = resource.path(wanted["metadata"].get("namespace", ""), wanted["metadata"]["name"])
        before = self.api.get(path)
        wanted = self._labelled(wanted, before)
        after = self._apply(path, wanted)
        self._remember(wanted, before)
        if before is None:
            return _change("create", item, None, wanted)
        # A dry run gives the version of now, whatever it would change.
        if not self.check and before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]:
            return None
        old, new = clean(before), clean(after)
        return None if old == new else _change("change", item, old, new)

    def _labelled(self, wanted: Document, before: Optional[Document]) -> Document:
        return prune.labelled(wanted, self.owner) if self.owner and prune.owned(before, self.owner) else wanted

    def _depends_on_a_promise(self, wanted: Document) -> bool:
        kind = (str(wanted["apiVersion"]), str(wanted["kind"]))
        return kind in self._promised_kinds or wanted["metadata"].get("namespace") in self._promised_namespaces

    def _remember(self, wanted: Document, before: Optional[Document]) -> None:
        if before is not None:
            return
        if wanted["kind"] == "Namespace" and self.check:
            self._promised_namespaces.append(wanted["metadata"]["name"])
        if wanted["kind"] == "CustomResourceDefinition":
            spec = wanted["spec"]
            served = [
                f"{spec['group']}/{version['name']}" for version in spec["versions"] if version.get("served", True)
            ]
            self._promised_kinds += [(version, spec["names"]["kind"]) for version in served]

    def _resource(self, item: Dict[str, Any]) -> Resource:
        version, kind = str(item["object"]["apiVersion"]), str(item["object"]["kind"])
        resource = self.api.resource(version, kind)
        deadline = time.monotonic() + (SETTLING if (version, kind) in self._promised_kinds else 0)
        while resource is None:
            if time.monotonic() >= deadline:
                raise RefusedError(
                    404, f"this cluster has no kind {kind} in {version}: its definition has to come with it"
                )
            pause(0.1)
            resource = self.api.resource(version, kind, fresh=True)
        return resource

    @staticmethod
    def _placed(wanted: Document, resource: Resource) -> Document:
        if resource.namespaced and not wanted["metadata"].get("namespace"):
            return {**wanted, "metadata": {**wanted["metadata"], "namespace": "default"}}
        if not resource.namespaced and wanted["metadata"].get("namespace"):
            raise RefusedError(400, f"a {wanted['kind']} lives in no namespace, and this one names one")
        return wanted

    def _apply(self, path: str, wanted: Document) -> Document:
        query = f"?fieldManager={MANAGER}&force=true" + ("&dryRun=All" if self.check else "")
        deadline = time.monotonic() + SETTLING
        while True:
            try:
                return self.api.request("PATCH", path + query, wanted, APPLY)
            except RefusedError as refusal:
                if not _passes(refusal) or time.monotonic() >= deadline:
                    raise
            pause(0.1)


def _passes(refusal: RefusedError) -> bool:
    """A pod in a namespace just made is refused until its service account is there; a concurrent write may win once."""
    early = refusal.status == 403 and "serviceaccount" in refusal.message and "not found" in refusal.message
    return early or refusal.status == 409
