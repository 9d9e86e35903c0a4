"""What kubeinstall has put on a host and how it fares; on a control plane also what its API says of the nodes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Optional

from . import etcd, leases, ready, units
from .answers import Answer
from .errors import HostError
from .host import Host
from .record import DIRECTORY, Record

PROPERTIES = f"Id,{units.PROPERTIES}"
# How long the API and etcd have for an answer: a status of a cluster with hosts that are down takes less than 5 s.
SECONDS = 2
# The columns that kubectl shows, so that the answer stays small on a cluster of any size.
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Component(NamedTuple):
    name: str
    versions: Dict[str, str]
    unit: Optional[str]
    problem: str
    state: str
    enabled: bool
    restarts: int
    seconds: float


class Status(NamedTuple):
    components: List[Component]
    nodes: Optional[List[Dict[str, str]]]
    leaders: List[leases.Leader]
    api: str
    member: Optional[etcd.OwnMember]


ANSWERS = {"main": Answer(Status, reads=True)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    """`spec`: root, api {url, ca, certificate, key} or null, leases [services whose leader has one], etcd: whether the
    host has a member.

    Returns {components: [{name, versions, unit, state, enabled, seconds, restarts, problem}], nodes: [{column: value}]
    or null, leaders, api: why these are not known, or "", member: etcd's or null}. `seconds` is how long the unit has
    been in its state. All are asked at once: what does not answer costs SECONDS.
    """
    host, api = Host(spec.get("root", "/")), spec.get("api")
    if api and not os.path.exists(host.path(api["certificate"])):
        api = None
    services = spec["leases"] if api else []
    with ThreadPoolExecutor(3 + len(services)) as pool:
        units_of = pool.submit(components, host)
        table = pool.submit(nodes, host, api) if api else None
        leaders = [pool.submit(leases.leader, host, api, service, SECONDS) for service in services]
        of_etcd = pool.submit(etcd.own_member, host, SECONDS) if spec["etcd"] else None
        answer: Dict[str, Any] = {"components": units_of.result(), "nodes": None, "leaders": [], "api": ""}
        answer["member"] = of_etcd.result() if of_etcd else None
        try:
            answer["nodes"] = table.result() if table else None
            answer["leaders"] = [one.result() for one in leaders]
        except socket.timeout:
            answer["api"] = f"the API server at {spec['api']['url']} did not answer within {SECONDS} s"
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            answer["api"] = f"the API server at {spec['api']['url']} does not answer: {error}"
    if spec.get("api") and not api:
        answer["api"] = f"the API can't be asked: {spec['api']['certificate']} is not there yet"
    return answer


def components(host: Host) -> List[Dict[str, Any]]:
    directory = host.path(DIRECTORY)
    names = os.listdir(directory) if os.path.isdir(directory) else []
    found = []
    for name in sorted(name[: -len(".json")] for name in names if name.endswith(".json")):
        one: Dict[str, Any] = {"name": name, "versions": {}, "unit": None, "problem": ""}
        try:
            data = Record(host, name).data
            one.update(versions=data["versions"], unit=data.get("unit"))
        except HostError as error:
            one["problem"] = str(error)
        found.append(one)
    names = [_full(one["unit"]) for one in found if one["unit"]]
    states = _states(host, sorted({*names, *map(units.started_by, names)}))
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    for one in found:
        state = states.get(_full(one["unit"]), {}) if one["unit"] else {}
        one["state"] = state.get("ActiveState", "")
        one["enabled"] = state.get("UnitFileState", "") == "enabled"
        one["restarts"] = int(state.get("NRestarts") or 0)
        entered = int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
        one["seconds"] = round(now - entered, 1) if entered else 0.0
        if one["unit"] and not one["problem"]:
            one["problem"] = units.restart_loop(host, _full(one["unit"]), state)
        service = units.started_by(_full(one["unit"])) if one["unit"] else ""
        if not one["problem"] and states.get(service, {}).get("ActiveState") == "failed":
            one["problem"] = f"{service} failed: {units.last_words(host, service) or 'its journal is empty'}"
    return found


def nodes(host: Host, api: Dict[str, str]) -> List[Dict[str, str]]:
    """The API's table of nodes, one dictionary for each."""
    condition = {**api, "url": f"{api['url']}/api/v1/nodes?includeObject=None"}
    status, body = ready.get(host, condition, accept=TABLE, timeout=SECONDS)
    if status != http.client.OK:
        raise ValueError(f"code {status}, {body[:200]}")
    table = json.loads(body)
    columns = [column["name"] for column in table["columnDefinitions"]]
    rows = [[str(cell) for cell in row["cells"]] for row in table.get("rows") or []]
    return [dict(zip(columns, row)) for row in rows]


def _states(host: Host, names: List[str]) -> Dict[str, Dict[str, str]]:
    if not names:
        return {}
    printed = host.run(["systemctl", "show", f"--property={PROPERTIES}", *(_full(name) for name in names)]).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in printed.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def _full(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"
