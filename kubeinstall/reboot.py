"""A rolling reboot: its hosts in their order, and what is foreseen of it, in sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kubeinstall.errors import InputError, Problem, RunError
from kubeinstall.results import DrainPlan, RebootHost, RebootPlan, RebootRoll

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["foreseen", "in_order", "to_reboot"]


def in_order(cluster: Cluster, names: Sequence[str]) -> tuple[str, ...]:
    """The named hosts, or all, in the order in which they are rebooted: nodes, control planes, members of etcd.

    What a reboot brings to light comes to light where it costs least. InputError with every name that is not listed and
    every host that is named twice.
    """
    hosts = [host.name for host in cluster.hosts]
    problems = []
    for name in dict.fromkeys(names):
        if name not in hosts:
            near = difflib.get_close_matches(name, hosts, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(hosts)}"
            problems.append(Problem("", f"the inventory names no host {name}", remedy))
        elif list(names).count(name) > 1:
            problems.append(Problem(name, "it is named twice", "each host is rebooted once: name it once"))
    if problems:
        raise InputError("; ".join(map(str, problems)), problems=problems)
    control_planes = [host.name for host in cluster.control_plane]
    nodes = [host.name for host in cluster.nodes if host.name not in control_planes]
    ordered = dict.fromkeys([*nodes, *control_planes, *hosts])
    return tuple(name for name in ordered if name in names or not names)


def foreseen(cluster: Cluster, names: Sequence[str], result: RunResult) -> Iterator[str]:
    """What a check run of the named hosts has found, in the order in which it would be done."""
    roll, due = result.one(RebootRoll).roll, to_reboot(cluster, names, result)
    hosts = result.required(RebootHost, due)
    nodes = {host.name for host in (*cluster.control_plane, *cluster.nodes)}
    pods = result.required(DrainPlan, [name for name in due if name in nodes and not hosts[name].rebooted])
    if done := [name for name in in_order(cluster, names) if name not in due]:
        began = min((roll[name].at for name in due if name in roll), default="an earlier time")
        yield f"This goes on with what the run of {began} has left; done by then: {', '.join(done)}"
    for name in due:
        if hosts[name].rebooted:
            began = roll[name].at if name in roll else "an earlier time"
            yield f"{name}: it has rebooted since the run of {began}: it is given back once it is well"
        else:
            yield from (f"{name}: {sentence}" for sentence in _sentences(cluster, name, pods.get(name)))


def to_reboot(cluster: Cluster, names: Sequence[str], result: RunResult) -> list[str]:
    """The hosts that the run is to reboot, in order. RunError if it leaves out one that no earlier run has rebooted."""
    roll, planned = result.one(RebootRoll).roll, result.one(RebootPlan).hosts
    order = in_order(cluster, names)
    lost = [name for name in order if name not in planned and not (name in roll and roll[name].done)]
    if lost:
        raise RunError(f"the run has left out {', '.join(lost)}", where=str(result.directory))
    return [name for name in order if name in planned]


def _sentences(cluster: Cluster, name: str, found: DrainPlan | None) -> Iterator[str]:
    yield from _away(cluster, name)
    if found is None:
        yield "it is no node: nothing is drained"
        return
    staying = ", ".join(found.staying) or "none"
    if found.alone:
        yield f"no other node takes pods: nothing is drained, its pods stay and start again with it: {staying}"
    elif found.silent:
        yield f"its kubelet is silent: nothing is drained, its pods end with it: {staying}"
    else:
        yield f"{len(found.pods)} pods will be evicted: {', '.join(found.pods) or 'none'}"
        if found.empty_dirs:
            yield f"emptyDir data will be deleted with these pods: {', '.join(found.empty_dirs)}"
        if found.staying:
            yield f"unmanaged pods are not evicted and start again with it: {staying}"
    if found.cordoned:
        yield "it is cordoned, and stays so"


def _away(cluster: Cluster, name: str) -> Iterator[str]:
    """What the cluster is without meanwhile, having nobody else for it."""
    if [host.name for host in cluster.control_plane] == [name]:
        yield "the API is away until it is back: it is the only control plane"
    members = [host.name for host in cluster.etcd]
    if name in members and len(members) < 3:
        yield f"etcd stands still until it is back: of {len(members)} members all are needed"
