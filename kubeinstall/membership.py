"""Whether a change of membership makes sense, by the inventory alone: who may be added, removed or replaced as what."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kubeinstall.errors import InputError, Problem

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster, Host

__all__ = ["WORDS", "check_change"]

# {group: (the command that changes it, what a host in it is called)}
WORDS = {
    "node": ("node", "a node"),
    "control_plane": ("control-plane", "a control plane"),
    "etcd": ("etcd", "a member of etcd"),
}


def check_change(cluster: Cluster, verb: str, kind: str, names: Sequence[str]) -> None:
    """InputError with every host that is not listed or not of this kind, or without which none of its kind would stay.

    `verb` is add, remove or replace, `kind` the group: node, control_plane or etcd.
    """
    hosts = {host.name: host for host in cluster.hosts}
    problems = []
    if not names:
        problems.append(Problem("", f"no host was named to {verb}", "name those that are listed in the inventory"))
    for name in names:
        if name in hosts:
            problems += _wrong(cluster, verb, kind, hosts[name])
        else:
            problems.append(_unknown(name, verb, kind, list(hosts)))
    problems += _none_left(cluster, verb, kind, set(names))
    if problems:
        raise InputError("the change can't be made" if len(problems) > 1 else str(problems[0]), problems=problems)


def _unknown(name: str, verb: str, kind: str, known: list[str]) -> Problem:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        remedy = f"did you mean {near[0]}?"
    elif verb == "add":
        remedy = f"list it in the group {kind} first"
    else:
        remedy = "it has to be listed until it is removed, so that its address is known"
    return Problem("", f"the inventory names no host {name}", remedy)


def _wrong(cluster: Cluster, verb: str, kind: str, host: Host) -> Iterator[Problem]:
    # A control plane is a node too, and comes and goes as a whole.
    if kind == "node" and "control_plane" in host.groups:
        yield Problem(host.name, "it is a control plane", f"kubeinstall control-plane {verb} {host.name}")
    elif kind not in host.groups:
        what = " and ".join(WORDS[group][1] for group in host.groups)
        # Never another command that removes: which of the two was meant, the name or the kind, is not known.
        there = ", ".join(one.name for one in cluster.hosts if kind in one.groups)
        remedy = f"list it in the group {kind} first" if verb == "add" else f"{kind} has: {there or 'no host'}"
        yield Problem(host.name, f"it is {what}, and not in the group {kind}", remedy)
    elif verb == "remove" and kind == "node" and "etcd" in host.groups:
        remedy = f"first: kubeinstall etcd remove {host.name}, and take it out of the group etcd"
        yield Problem(host.name, "it is a member of etcd too", remedy)
    elif verb == "remove" and kind == "control_plane" and _reached_by(cluster, host):
        remedy = "first set cluster_api_server to an address that stays, and apply"
        yield Problem(host.name, f"nodes and users reach the API by its address, {cluster.api_server}", remedy)


def _reached_by(cluster: Cluster, host: Host) -> bool:
    """Whether nodes call the API at this host's address, and nowhere else."""
    return cluster.api_balancer != "local" and urlsplit(cluster.api_server).hostname == host.address


def _none_left(cluster: Cluster, verb: str, kind: str, names: set[str]) -> Iterator[Problem]:
    if verb == "add":
        return
    leaving = {host.name for host in cluster.hosts if host.name in names}
    control_planes = {host.name for host in cluster.control_plane}
    members = {host.name for host in cluster.etcd}
    if kind == "control_plane" and control_planes <= leaving:
        what = f"without {', '.join(sorted(control_planes))} the cluster has no control plane"
        yield Problem("", what, "first add another: kubeinstall control-plane add")
    if kind in ("control_plane", "etcd") and members <= leaving:
        what = f"without {', '.join(sorted(members))} no member of etcd has the cluster's data"
        yield Problem("", what, "let another host join first: kubeinstall etcd add")
