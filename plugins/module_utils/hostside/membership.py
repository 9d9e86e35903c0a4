"""Whom the cluster knows and whom it has let go, asked and changed through the API server of this host.

spec: server, authority, certificate, key (paths on the host), operation, check, seconds, and
    ask                      {nodes: {name: address}, shares: {name: podCIDR},
                             marks: {mark: {name, machine_id, address, at}}}
    foresee  name            {there, silent, pods, lost}: what its removal costs
    remove   name            {changes, facts}: the node is drained, marked and gone
    mark     marks: {mark: {name, machine_id, address}}     {changes}: these are not to come back by themselves
    welcome  marks: [mark]   {changes}: these may
`changes` are sentences; with `check` nothing is touched. A mark is KIND.NAME, KIND being node or etcd.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional
from urllib.parse import quote

from . import drain, nodes, notes
from .answers import Answer, Changes
from .api import API, Document, operate

MARKS = "kubeinstall-removed"


class Mark(NamedTuple):
    name: str
    machine_id: str = ""
    address: str = ""
    at: str = ""


class Known(NamedTuple):
    nodes: Dict[str, str]
    shares: Dict[str, str]
    marks: Dict[str, Mark]


class Foreseen(NamedTuple):
    there: bool
    silent: bool
    pods: List[str]
    lost: List[str]


ANSWERS = {
    "ask": Answer(Known, reads=True),
    "foresee": Answer(Foreseen, reads=True),
    "remove": Answer(Changes),
    "mark": Answer(Changes),
    "welcome": Answer(Changes),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    return operate(spec, _OPERATIONS)


def ask(api: API, _spec: Dict[str, Any]) -> Dict[str, Any]:
    nodes = api.request("GET", "/api/v1/nodes")["items"]
    return {
        "nodes": {node["metadata"]["name"]: _address(node) for node in nodes},
        "shares": {node["metadata"]["name"]: node["spec"].get("podCIDR", "") for node in nodes},
        "marks": notes.read(api, MARKS),
    }


def foresee(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """Refused here, before anything is touched, where a disruption budget would not let a pod go."""
    node = api.get(f"/api/v1/nodes/{quote(spec['name'])}")
    if node is None or drain.silent(node):
        there = drain.pods(api, spec["name"]) if node else []
        pods = [drain.title(pod) for pod in there]
        return {"there": node is not None, "silent": node is not None, "pods": pods, "lost": []}
    return {"there": True, "silent": False, **drain.foresee(api, spec["name"])}


def remove(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    name, path = spec["name"], f"/api/v1/nodes/{quote(spec['name'])}"
    node = api.get(path)
    changes = []
    if node is not None:
        there = drain.pods(api, name)
        way = "given up, for its kubelet is silent" if drain.silent(node) else "evicted"
        changes.append(f"drain {name}: {len(there)} pods are {way}")
        if not spec["check"]:
            drain.drain(api, name, spec["seconds"])
    # Before the node is gone: a run that is cut short here is one after which it does not come back by itself.
    known = {key: value for key, value in _known(node).items() if value}
    changes += _mark(api, {f"node.{name}": {**spec["marks"][f"node.{name}"], **known}}, check=spec["check"])
    if node is not None:
        changes.append(f"delete Node {name}")
        if not spec["check"]:
            api.request("DELETE", path)
    if not spec["check"]:
        nodes.forget(api, name)
    return {"changes": changes}


def mark(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    return {"changes": _mark(api, spec["marks"], check=spec["check"])}


def _mark(api: API, wanted: Dict[str, Any], *, check: bool) -> List[str]:
    there = notes.read(api, MARKS)
    new = {name: one for name, one in wanted.items() if name not in there}
    if new and not check:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        notes.write(api, MARKS, {name: {**one, "at": at} for name, one in new.items()})
    return [f"remember that {one['name']} was removed ({name.partition('.')[0]})" for name, one in new.items()]


def welcome(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    there = notes.read(api, MARKS)
    gone = [name for name in spec["marks"] if name in there]
    if gone and not spec["check"]:
        notes.remove(api, MARKS, gone)
    return {"changes": [f"forget that {there[name]['name']} was removed" for name in gone]}


def _known(node: Optional[Document]) -> Dict[str, str]:
    if node is None:
        return {}
    return {"machine_id": node["status"].get("nodeInfo", {}).get("machineID", ""), "address": _address(node)}


def _address(node: Document) -> str:
    addresses = node["status"].get("addresses", [])
    return next((str(one["address"]) for one in addresses if one["type"] == "InternalIP"), "")


_OPERATIONS = {"ask": ask, "foresee": foresee, "remove": remove, "mark": mark, "welcome": welcome}
