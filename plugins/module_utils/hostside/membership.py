"""Whom the cluster knows and whom it has let go, asked and changed through the API server of this host.

spec: server, authority, certificate, key (paths on the host), operation, check, seconds, and
    ask                      {nodes: {name: address}, shares: {name: podCIDR},
                             marks: {mark: {name, machine_id, address, at}},
                             kubelets: {name: version}, api_servers: {address: version, "" where it does not answer},
                             service_cidrs: {ServiceCIDR: [CIDR]}, dns_address: "" without a Service for the DNS,
                             settings: those of this host, as settings.py finds them, data_losses}
             owner, wanted   where manifests are to be applied: [entry of hostside/prune.py]
    foresee  name            {there, silent, pods, lost, empty_dirs}: what its removal costs
    drain    name            {changes, silent}: the node is cordoned, and drained unless its kubelet does not report
    force    name            {changes}: the pods of a node whose kubelet does not report are deleted at once
    mark     marks: {mark: {name, machine_id, address}}     {changes}: these are not to come back by themselves
    delete   name            {changes}: the Node of a removal that is recorded is gone
    welcome  marks: [mark]   {changes}: these may
`changes` are sentences; with `check` nothing is touched. A mark is KIND.NAME, KIND being node or etcd.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional
from urllib.parse import quote

from . import drain, nodes, notes, prune, settings
from .answers import Answer, Changes
from .api import API, Document, operate
from .errors import HostError
from .host import Host

MARKS = "kubeinstall-removed"
DNS = "/api/v1/namespaces/kube-system/services/kube-dns"
# Each API server that runs keeps its address in it, and one that stops is out of it within 15 s.
API_SERVERS = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


class Mark(NamedTuple):
    name: str
    machine_id: str = ""
    address: str = ""
    at: str = ""


class Known(NamedTuple):
    nodes: Dict[str, str]
    shares: Dict[str, str]
    marks: Dict[str, Mark]
    kubelets: Dict[str, str]
    api_servers: Dict[str, str]
    service_cidrs: Dict[str, List[str]]
    dns_address: str
    settings: Dict[str, Dict[str, str]]
    data_losses: List[str]


class Foreseen(NamedTuple):
    there: bool
    silent: bool
    pods: List[str]
    lost: List[str]
    empty_dirs: List[str]


class Drained(NamedTuple):
    changes: List[str]
    silent: bool


ANSWERS = {
    "ask": Answer(Known, reads=True),
    "foresee": Answer(Foreseen, reads=True),
    "drain": Answer(Drained),
    "force": Answer(Changes),
    "delete": Answer(Changes),
    "mark": Answer(Changes),
    "welcome": Answer(Changes),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    return operate(spec, _OPERATIONS, ANSWERS)


def ask(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    nodes = api.request("GET", "/api/v1/nodes")["items"]
    return {
        "nodes": {node["metadata"]["name"]: _address(node) for node in nodes},
        "shares": {node["metadata"]["name"]: node["spec"].get("podCIDR", "") for node in nodes},
        "marks": notes.read(api, MARKS),
        "kubelets": {node["metadata"]["name"]: _kubelet(node) for node in nodes},
        "api_servers": _api_servers(api),
        "service_cidrs": {
            one["metadata"]["name"]: one["spec"].get("cidrs", [])
            for one in (api.get("/apis/networking.k8s.io/v1/servicecidrs") or {"items": []})["items"]
        },
        "dns_address": ((api.get(DNS) or {}).get("spec") or {}).get("clusterIP", ""),
        "settings": settings.found(Host(spec.get("root", "/"))),
        "data_losses": prune.asked(api, spec["owner"], spec["wanted"]) if "owner" in spec else [],
    }


def foresee(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """Refused here, before anything is touched, where a disruption budget would not let a pod go."""
    node = api.get(_path(spec["name"]))
    if node is None or drain.silent(node):
        there = drain.pods(api, spec["name"]) if node else []
        return {"there": node is not None, "silent": node is not None, **drain.described(there)}
    return {"there": True, "silent": False, **drain.foresee(api, spec["name"])}


def drain_node(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """`silent`: its kubelet does not report, so that what is left of its pods has to be force-deleted."""
    node = api.get(_path(spec["name"]))
    if node is None:
        return {"changes": [], "silent": False}
    changes = drain.planned(api, node)
    if spec["check"]:
        return {"changes": changes, "silent": drain.silent(node)}
    return {"changes": changes, "silent": not drain.drain(api, spec["name"], spec["seconds"])}


def force_delete(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    name, node = spec["name"], api.get(_path(spec["name"]))
    there = drain.pods(api, name) if node else []
    if node is None or not there:
        return {"changes": []}
    if not drain.silent(node):
        raise HostError(f"the kubelet of {name} reports again: its pods were not force-deleted. Run the command again")
    if not spec["check"]:
        drain.force_delete(api, there)
    return {"changes": [f"force-delete {len(there)} pods of {name}"]}


def mark(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """A node's own word on its machine-id and address goes before the inventory's."""
    wanted = dict(spec["marks"])
    for name, one in wanted.items():
        if name.startswith("node."):
            known = _known(api.get(_path(one["name"])))
            wanted[name] = {**one, **{key: value for key, value in known.items() if value}}
    return {"changes": _mark(api, wanted, check=spec["check"])}


def delete(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """HostError where the Node could register again: its removal has to be recorded before."""
    name, there = spec["name"], api.get(_path(spec["name"])) is not None
    if there and not spec["check"]:
        if f"node.{name}" not in notes.read(api, MARKS):
            raise HostError(f"the removal of {name} is not recorded, so its Node was not deleted: record it first")
        api.request("DELETE", _path(name))
    if not spec["check"]:
        nodes.forget(api, name)
    return {"changes": [f"delete Node {name}"] if there else []}


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


def _path(name: str) -> str:
    return f"/api/v1/nodes/{quote(name)}"


def _known(node: Optional[Document]) -> Dict[str, str]:
    if node is None:
        return {}
    return {"machine_id": node["status"].get("nodeInfo", {}).get("machineID", ""), "address": _address(node)}


def _kubelet(node: Document) -> str:
    """Its version, empty until it has reported."""
    return str(node["status"].get("nodeInfo", {}).get("kubeletVersion", "")).removeprefix("v")


def _api_servers(api: API) -> Dict[str, str]:
    endpoints = api.get(API_SERVERS) or {}
    port = next((one["port"] for one in endpoints.get("ports") or []), 443)
    addresses = [address for one in endpoints.get("endpoints") or [] for address in one["addresses"]]
    return {address: api.version(f"https://{address}:{port}") for address in addresses}


def _address(node: Document) -> str:
    addresses = node["status"].get("addresses", [])
    return next((str(one["address"]) for one in addresses if one["type"] == "InternalIP"), "")


_OPERATIONS = {
    "ask": ask,
    "foresee": foresee,
    "drain": drain_node,
    "force": force_delete,
    "mark": mark,
    "delete": delete,
    "welcome": welcome,
}
