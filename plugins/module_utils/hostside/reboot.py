"""A rolling reboot as this host's API server sees it: what is in its way, who is done; nodes emptied and given back.

spec: server, authority, certificate, key (paths on the host), operation, check, seconds, and
    ask                   {roll: {host: {boot, at, done}}}: whom a run that was cut short has begun with
    foresee  name         {pods, empty_dirs, staying, silent, alone, cordoned}: what becomes of the node's pods, of
                          data in their emptyDir volumes, and of the node
    begin    boots        {changes}: these are to be rebooted; {host: the boot that it is to get out of}
    empty    name         {changes}: the node is cordoned, and drained where others take pods
    finish   name, booted, since
                          {changes}: the node is Ready and takes pods again, unless it was cordoned before; the host is
                          done, and with the last one all are forgotten. `booted` and `since` are when it and its
                          kubelet were started, the latter null for a host that is no node
`changes` are sentences; with `check` nothing is touched.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple
from urllib.parse import quote

from . import dns, drain, node_status, notes
from .answers import Answer, Changes
from .api import API, MERGE, Document, operate
from .errors import HostError
from .waiting import pause

# Names the nodes that were cordoned for their reboot, and not before it. A kubelet can't write to this ConfigMap.
CORDONED = "kubeinstall-cordoned"
ROLL = "kubeinstall-reboot"
PAUSE = 0.5


class Begun(NamedTuple):
    boot: str
    at: str
    done: bool


class Asked(NamedTuple):
    roll: Dict[str, Begun]


class Foreseen(NamedTuple):
    pods: List[str]
    empty_dirs: List[str]
    staying: List[str]
    silent: bool
    alone: bool
    cordoned: bool


ANSWERS = {
    "ask": Answer(Asked, reads=True),
    "foresee": Answer(Foreseen, reads=True),
    "begin": Answer(Changes),
    "empty": Answer(Changes),
    "finish": Answer(Changes),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    return operate(spec, _OPERATIONS, ANSWERS)


def ask(api: API, _spec: Dict[str, Any]) -> Dict[str, Any]:
    return {"roll": notes.read(api, ROLL)}


def foresee(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    """Refused here, before anything is touched, where a disruption budget would not let a pod go."""
    name = spec["name"]
    node = _node(api, name)
    silent, alone = drain.silent(node), _alone(api, name)
    there = [drain.title(pod) for pod in drain.pods(api, name)]
    going = drain.described([]) if silent or alone else drain.foresee(api, name, returns=True)
    return {
        "pods": going["pods"],
        "empty_dirs": going["empty_dirs"],
        "staying": [pod for pod in there if pod not in going["pods"]],
        "silent": silent,
        "alone": alone,
        "cordoned": _cordoned(api, node),
    }


def begin(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    # Those that an earlier run has begun with stay that one's.
    begun = {(name, one["boot"]) for name, one in notes.read(api, ROLL).items() if not one["done"]}
    new = {name: boot for name, boot in spec["boots"].items() if (name, boot) not in begun}
    if new and not spec["check"]:
        notes.write(api, ROLL, {name: {"boot": boot, "at": at, "done": False} for name, boot in new.items()})
    return {"changes": []}


def empty(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    name = spec["name"]
    node = _node(api, name)
    if _alone(api, name):
        return {"changes": []}
    changes = drain.planned(api, node, returns=True)
    if not spec["check"]:
        if not node["spec"].get("unschedulable"):
            # Recorded first: a node that is cordoned without a record stays cordoned.
            notes.write(api, CORDONED, {name: True})
            api.request("PATCH", _path(name), {"spec": {"unschedulable": True}}, MERGE)
        # Budgets that the nodes before have used up for the moment are waited for.
        drain.drain(api, name, spec["seconds"], returns=True)
    return {"changes": changes}


def finish(api: API, spec: Dict[str, Any]) -> Dict[str, Any]:
    name, changes = spec["name"], []
    if spec["since"] is not None:
        if not spec["check"]:
            _wait_until_ready(api, spec)
        if name in notes.read(api, CORDONED):
            changes.append(f"uncordon {name}")
            if not spec["check"]:
                api.request("PATCH", _path(name), {"spec": {"unschedulable": None}}, MERGE)
                notes.remove(api, CORDONED, [name])
        if not spec["check"]:
            dns.settle(api, spec)
            if not _node(api, name)["spec"].get("unschedulable"):
                dns.spread(api, spec)
    if not spec["check"]:
        _done(api, name)
    return {"changes": changes}


def _done(api: API, name: str) -> None:
    roll = notes.read(api, ROLL)
    if name in roll and all(one["done"] for other, one in roll.items() if other != name):
        notes.remove(api, ROLL, list(roll))
    elif name in roll:
        notes.write(api, ROLL, {name: {**roll[name], "done": True}})


def _wait_until_ready(api: API, spec: Dict[str, Any]) -> None:
    name, deadline = spec["name"], time.monotonic() + spec["seconds"]
    while problem := node_status.not_ready_since(_node(api, name), spec["since"]):
        if time.monotonic() > deadline:
            raise HostError(
                f"Node {name} was not ready within {spec['seconds']:.0f} s: {problem}. Check `journalctl -u kubelet` on"
                f" {name} and run the command again; until then the node stays cordoned"
            )
        pause(PAUSE)


def _path(name: str) -> str:
    return f"/api/v1/nodes/{quote(name)}"


def _node(api: API, name: str) -> Document:
    node = api.get(_path(name))
    if node is None:
        raise HostError(f"{name} is no node of the cluster: kubeinstall apply makes it one")
    return node


def _cordoned(api: API, node: Document) -> bool:
    """Whether somebody else has cordoned it: it stays so."""
    return bool(node["spec"].get("unschedulable")) and node["metadata"]["name"] not in notes.read(api, CORDONED)


def _alone(api: API, name: str) -> bool:
    """Whether no other node takes pods: what is evicted would be away as long, and whoever owns it none the wiser."""
    nodes = api.request("GET", "/api/v1/nodes")["items"]
    return not any(_takes_pods(node) for node in nodes if node["metadata"]["name"] != name)


def _takes_pods(node: Document) -> bool:
    shut = any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in node["spec"].get("taints", []))
    return node_status.ready(node)["status"] == "True" and not shut and not node["spec"].get("unschedulable")


_OPERATIONS = {"ask": ask, "foresee": foresee, "begin": begin, "empty": empty, "finish": finish}
