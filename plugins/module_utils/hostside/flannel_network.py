"""flannel's network in etcd, as its own subnet manager reads it there, and the shares that nodes have of it.

spec: root, operation, and
    shares    api {server, others, authority, certificate, key}, names, seconds, check
              {shares: {CIDR: address}}: what the API gave these nodes, once all of them have theirs
and on the host of a member, check, endpoints (of all members), prefix, and
    put       config (JSON), leases {CIDR: address}
              {changes}: the network is so, and each node that has no share yet finds the one that it has in the API
    drop      address
              {changes}: the share of the node with that address is free again
`changes` are sentences; with `check` nothing is touched.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import quote

from .answers import Answer, Changes
from .api import API
from .errors import HostError
from .etcd import etcdctl
from .host import Host
from .waiting import pause

PAUSE = 0.25


class Shares(NamedTuple):
    shares: Dict[str, str]


ANSWERS = {"shares": Answer(Shares, reads=True), "put": Answer(Changes), "drop": Answer(Changes)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    if spec["operation"] == "shares":
        return {"shares": shares(spec)}
    host = Host(spec.get("root", "/"))
    with host.acting("change flannel's network in etcd", check=spec["check"]):
        return {"changes": (put if spec["operation"] == "put" else drop)(host, spec)}


def shares(spec: Dict[str, Any]) -> Dict[str, str]:
    try:
        with contextlib.closing(API(**spec["api"], patience=spec["seconds"])) as api:
            return _wait_for_shares(api, spec)
    except HostError:
        if not spec["check"]:
            raise
        return {}  # before the first run there is nobody to ask


def _wait_for_shares(api: API, spec: Dict[str, Any]) -> Dict[str, str]:
    deadline = time.monotonic() + spec["seconds"]
    while True:
        found = {name: _share(api, name) for name in spec["names"]}
        missing = sorted(name for name, share in found.items() if not share)
        if not missing or spec["check"]:
            return dict(filter(None, found.values()))
        if time.monotonic() > deadline:
            raise HostError(
                f"{', '.join(missing)}: no share of the pods' network within {spec['seconds']} s. Is the kubelet there"
                " registered, and does a controller manager run (journalctl -u kube-controller-manager)?"
            )
        pause(PAUSE)


def _share(api: API, name: str) -> Optional[Tuple[str, str]]:
    """(CIDR, address) of a node, once the API has both."""
    node = api.get(f"/api/v1/nodes/{quote(name)}") or {"spec": {}, "status": {}}
    addresses = {one["type"]: one["address"] for one in node["status"].get("addresses", [])}
    share, address = node["spec"].get("podCIDR"), addresses.get("InternalIP")
    return (share, address) if share and address else None


def put(host: Host, spec: Dict[str, Any]) -> List[str]:
    try:
        there = _read(host, spec)
    except HostError:
        if not spec["check"]:
            raise
        there = {}  # before the first run there is nobody to ask
    changes = []
    key, wanted = f"{spec['prefix']}/config", json.loads(spec["config"])
    if there.get(key) != wanted:
        changes.append(f"{'change' if key in there else 'put'} flannel's network in etcd: {json.dumps(wanted)}")
        _write(host, spec, key, wanted)
    served = _served(there)
    for share, address in spec["leases"].items():
        key = f"{spec['prefix']}/subnets/{share.replace('/', '-')}"
        # flannel itself takes what lies there under its node's address for its own.
        if address not in served and key not in there:
            changes.append(f"give {address} its share of flannel's network in etcd, {share}")
            _write(host, spec, key, {"PublicIP": address})
    return changes


def drop(host: Host, spec: Dict[str, Any]) -> List[str]:
    served = _served(_read(host, spec))
    if spec["address"] not in served:
        return []
    key = served[spec["address"]]
    if not spec["check"]:
        etcdctl(host, "del", key, endpoints=spec["endpoints"])
    return [f"take back {spec['address']}'s share of flannel's network in etcd, {key.rpartition('/')[2]}"]


def _read(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    """{key: its JSON} of all below the prefix; None for what is no JSON."""
    found = etcdctl(host, "get", f"{spec['prefix']}/", "--prefix", endpoints=spec["endpoints"]).get("kvs") or []
    return {base64.b64decode(one["key"]).decode(): _json(base64.b64decode(one.get("value", ""))) for one in found}


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _served(there: Dict[str, Any]) -> Dict[str, str]:
    """{address: key} of the shares that are given out."""
    return {one["PublicIP"]: key for key, one in there.items() if "/subnets/" in key and isinstance(one, dict)}


def _write(host: Host, spec: Dict[str, Any], key: str, value: Any) -> None:
    if not spec["check"]:
        etcdctl(host, "put", key, json.dumps(value), endpoints=spec["endpoints"])
