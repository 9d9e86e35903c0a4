"""What has to hold after a restart, besides the service's own answer, before the next host's turn.

Of a component's condition `ready` (hostside/ready.py):
    kubeconfig  path of one that the component task has written
    node        name of this host's Node: Ready by a heartbeat since kubelet started, once a CNI configuration exists
    lease       name of a leader election's Lease: a leader renews it after a restart
    followers   [{unit, ready}]: those that ran before the restart run and fulfil their own condition again
"""

from __future__ import annotations

import http.client
import json
import os
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import node_status, units
from .files import read
from .host import Host
from .ready import Look, get, unfulfilled

# Of a kubeconfig, in the form that plugin_utils/spec.py gives it.
ACCESS = {
    "url": "server",
    "ca": "certificate-authority",
    "certificate": "client-certificate",
    "key": "client-key",
}
CNI = "/etc/cni/net.d"
CNI_ENDINGS = (".conf", ".conflist", ".json")
Document = Dict[str, Any]
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def looks(host: Host, condition: Dict[str, Any], *, restarted: bool) -> List[Look]:
    """Functions of the time of the unit's start that return what is missing, None when it holds."""
    found: List[Look] = []
    if "node" in condition and has_network(host):
        found.append(lambda since: _node(host, condition, since))
    if "lease" in condition and restarted:
        found.append(_renewal(host, condition))
    found += [_follower(host, one) for one in condition.get("followers", ())]
    return found


def followers_at_work(host: Host, condition: Dict[str, Any]) -> Dict[str, Any]:
    """The condition as it holds of its followers now, before the restart: what failed before is not this one's failure.

    One whose Node is not Ready, or can't be asked for, only has to run and answer again.
    """
    found = []
    for follower in condition["followers"]:
        if units.running(units.show(host, follower["unit"])):
            ready = follower["ready"]
            if _follower(host, follower)(0.0):
                ready = {key: value for key, value in ready.items() if key != "node"}
            found.append({**follower, "ready": ready})
    return {**condition, "followers": found}


def has_network(host: Host) -> bool:
    """Whether a CNI configuration exists. Before it does, on a fresh host, no node can be Ready."""
    directory = host.path(CNI)
    return os.path.isdir(directory) and any(name.endswith(CNI_ENDINGS) for name in os.listdir(directory))


def _ask(host: Host, kubeconfig: str, path: str) -> Tuple[Document, Optional[str]]:
    """(the document, empty if there is none; the problem if the API does not answer)."""
    text, access = read(host.path(kubeconfig)) or "", {}
    for name, key in ACCESS.items():
        match = re.search(rf"^\s*{key}: (\S+)$", text, re.MULTILINE)
        if match is None:
            return {}, f"{kubeconfig} names no {key}"
        access[name] = match[1]
    server = access["url"]
    try:
        status, body = get(host, {**access, "url": server + path})
        if status in (http.client.OK, http.client.NOT_FOUND):
            return dict(json.loads(body)) if status == http.client.OK else {}, None
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {}, f"the API server at {server} did not answer: {error}"
    return {}, f"the API server at {server} answers {status}: {' '.join(body.split())[-300:]}"


def _node(host: Host, condition: Dict[str, Any], since: float) -> Optional[str]:
    name = condition["node"]
    node, problem = _ask(host, condition["kubeconfig"], f"/api/v1/nodes/{name}")
    problem = problem or node_status.not_ready_since(node or None, since)
    return f"Node {name}: {problem}" if problem else None


def _renewal(host: Host, condition: Dict[str, Any]) -> Look:
    """A leader that renews its lease twice under our eyes runs its controllers; clocks of hosts don't count."""
    path, seen = f"{LEASES}/{condition['lease']}", Renewals()

    def look(_since: float) -> Optional[str]:
        lease, problem = _ask(host, condition["kubeconfig"], path)
        return problem or seen.missing(condition["lease"], lease)

    return look


class Renewals:
    """What was seen of a Lease."""

    def __init__(self) -> None:
        self._last: Tuple[str, str] = ("", "")

    def missing(self, name: str, lease: Document) -> Optional[str]:
        """Why it is not known yet that a leader is at work; None once one was seen to renew."""
        spec = lease.get("spec", {})
        now = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        before, self._last = self._last, now
        if now[0] and before[0] == now[0] and before[1] != now[1]:
            return None
        return f"no leader renews the lease {name} (last: {now[0] or 'none'})"


def _follower(host: Host, follower: Dict[str, Any]) -> Callable[[float], Optional[str]]:
    def look(_since: float) -> Optional[str]:
        unit = follower["unit"]
        state = units.show(host, unit)
        if not units.running(state):
            return f"{unit}, which uses it, is {state.get('ActiveState')}"
        problem = unfulfilled(host, follower["ready"])
        if problem is None and "node" in follower["ready"] and has_network(host):
            problem = _node(host, follower["ready"], units.started_at(state))
        return f"{unit}, which uses it, is not healthy: {problem}" if problem else None

    return look
