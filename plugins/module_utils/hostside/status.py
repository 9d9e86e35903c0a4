"""What kubeinstall has put on a host and how it fares; on a control plane also what its API says of the nodes."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.parse
from typing import Any, Dict, List, NamedTuple, Optional

from . import ready, units
from .answers import Answer
from .errors import HostError
from .host import Host
from .record import DIRECTORY, Record

PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,ActiveEnterTimestampMonotonic"
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
    api: str


ANSWERS = {"main": Answer(Status, reads=True)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    """`spec`: root, and api {url, ca, certificate, key} or null.

    Returns {components: [{name, versions, unit, state, enabled, seconds, restarts, problem}], nodes: [{column: value}]
    or null, api: why there are no nodes, or ""}. `seconds` is how long the unit has been in its state.
    """
    host = Host(spec.get("root", "/"))
    answer: Dict[str, Any] = {"components": components(host), "nodes": None, "api": ""}
    if spec.get("api") and not os.path.exists(host.path(spec["api"]["certificate"])):
        answer["api"] = f"the API can't be asked: {spec['api']['certificate']} is not there yet"
    elif spec.get("api"):
        try:
            answer["nodes"] = nodes(host, spec["api"])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            answer["api"] = f"{spec['api']['url']} does not answer: {error}"
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
        service = units.started_by(_full(one["unit"])) if one["unit"] else ""
        if not one["problem"] and states.get(service, {}).get("ActiveState") == "failed":
            one["problem"] = f"{service} failed: {units.last_words(host, service) or 'its journal is empty'}"
    return found


def nodes(host: Host, api: Dict[str, str]) -> List[Dict[str, str]]:
    """The API's table of nodes, one dictionary for each."""
    url = urllib.parse.urlsplit(api["url"])
    connection = http.client.HTTPSConnection(url.netloc, timeout=10, context=ready.tls(host, api))
    try:
        connection.request("GET", "/api/v1/nodes?includeObject=None", headers={"Accept": TABLE})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"code {answer.status}, {body[:200].decode(errors='replace')}")
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
