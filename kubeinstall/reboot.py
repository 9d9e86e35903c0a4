"""A rolling reboot: its hosts in their order, and what is foreseen of it, in sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubeinstall.errors import InputError, Problem

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster
    from kubeinstall.events import RunResult

__all__ = ["foreseen", "in_order"]

# Tasks of playbooks/reboot.yml, whose answers are told.
ASKED = "Find a control plane that answers, and ask of a run that was cut short"
SPARED = "See that the host answers, and that others do its work meanwhile"
EMPTIED = "Try on the API server to empty the node, as a dry run"


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
    answers = [answer for asked in result.returned(ASKED).values() for answer in asked["results"]]
    roll = next(answer["roll"] for answer in answers if answer["answered"])
    spared, pods = result.returned(SPARED), result.returned(EMPTIED)
    order = in_order(cluster, names)
    if done := [name for name in order if name not in spared]:
        began = min(roll[name]["at"] for name in spared if name in roll)
        yield f"This goes on with what the run of {began} has left; done by then: {', '.join(done)}"
    for name in (name for name in order if name in spared):
        if spared[name]["rebooted"]:
            yield f"{name}: it has rebooted since the run of {roll[name]['at']}: it is given back once it is well"
        else:
            yield from (f"{name}: {sentence}" for sentence in _sentences(cluster, name, pods.get(name)))


def _sentences(cluster: Cluster, name: str, found: Mapping[str, Any] | None) -> Iterator[str]:
    yield from _away(cluster, name)
    if found is None:
        yield "it is no node: nothing is drained"
        return
    staying = ", ".join(found["staying"]) or "none"
    if found["alone"]:
        yield f"no other node takes pods: nothing is drained, its pods stay and start again with it: {staying}"
    elif found["silent"]:
        yield f"its kubelet is silent: nothing is drained, its pods end with it: {staying}"
    else:
        yield f"{len(found['pods'])} pods will be evicted: {', '.join(found['pods']) or 'none'}"
        if found["empty_dirs"]:
            yield f"emptyDir data will be deleted with these pods: {', '.join(found['empty_dirs'])}"
        if found["staying"]:
            yield f"unmanaged pods are not evicted and start again with it: {staying}"
    if found["cordoned"]:
        yield "it is cordoned, and stays so"


def _away(cluster: Cluster, name: str) -> Iterator[str]:
    """What the cluster is without meanwhile, having nobody else for it."""
    if [host.name for host in cluster.control_plane] == [name]:
        yield "the API is away until it is back: it is the only control plane"
    members = [host.name for host in cluster.etcd]
    if name in members and len(members) < 3:
        yield f"etcd stands still until it is back: of {len(members)} members all are needed"
