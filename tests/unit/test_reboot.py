"""The hosts of a rolling reboot in their order, what is refused by their names, and what a check run has foreseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeinstall.cluster import Cluster
from kubeinstall.errors import InputError
from kubeinstall.events import Event, RunResult
from kubeinstall.reboot import foreseen, in_order
from kubeinstall.results import DrainPlan, RebootHost, RebootPlan, RebootRoll, message

HOSTS = """\
etcd: {hosts: {etcd-1: {ansible_host: 192.0.2.31}, control-1: , control-2: }}
control_plane:
  hosts:
    control-1: {ansible_host: 192.0.2.11}
    control-2: {ansible_host: 192.0.2.12}
node:
  hosts: {node-1: {ansible_host: 192.0.2.21}, node-2: {ansible_host: 192.0.2.22}}
"""
SINGLE = "all: {hosts: {one: {ansible_host: 192.0.2.1}}, children: {etcd: &one {hosts: {one: }}, control_plane: *one}}"
PODS = {"pods": ["a/web"], "empty_dirs": [], "staying": [], "silent": False, "alone": False, "cordoned": False}


def load(folder: Path, text: str) -> Cluster:
    (folder / "hosts.yml").write_text(text)
    return Cluster.load(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return load(tmp_path_factory.mktemp("inventory"), HOSTS)


def test_nodes_come_first_and_members_of_etcd_last(cluster: Cluster) -> None:
    assert in_order(cluster, []) == ("node-1", "node-2", "control-1", "control-2", "etcd-1")
    assert in_order(cluster, ["etcd-1", "control-2", "node-2"]) == ("node-2", "control-2", "etcd-1")


def test_every_name_that_is_wrong_has_its_sentence(cluster: Cluster) -> None:
    with pytest.raises(InputError) as refused:
        in_order(cluster, ["nod-2", "node-1", "xyz", "node-1"])
    assert [str(problem) for problem in refused.value.problems] == [
        "the inventory names no host nod-2 (did you mean node-2?)",
        "node-1: it is named twice (each host is rebooted once: name it once)",
        "the inventory names no host xyz (known: etcd-1, control-1, control-2, node-1, node-2)",
    ]
    assert "named twice" in str(refused.value)
    assert "no host xyz" in str(refused.value)


def told(
    cluster: Cluster,
    pods: dict[str, dict[str, Any]],
    names: tuple[str, ...] = (),
    roll: dict[str, dict[str, Any]] | None = None,
    rebooted: tuple[str, ...] = (),
) -> list[str]:
    """The sentences on a check run that asked these hosts, and was told that of their pods."""
    order = in_order(cluster, names)
    # A loop over the control planes, of which the first does not answer.
    asked = {"results": [{"answered": False}, {"answered": True, **message(RebootRoll, roll=roll or {})}]}
    due = [name for name in order if not (roll or {}).get(name, {}).get("done")]
    events = [Event("ok", 0.0, host="control-1", result=asked)]
    events += [Event("ok", 0.0, host=name, result=message(RebootHost, rebooted=name in rebooted)) for name in due]
    events += [Event("ok", 0.0, host=name, result=message(DrainPlan, **found)) for name, found in pods.items()]
    events.append(Event("ok", 0.0, host=due[0], result=message(RebootPlan, hosts=due)))
    return list(foreseen(cluster, names, RunResult("ok", {}, (), tuple(events), 1.0, Path())))


def test_what_becomes_of_the_pods(cluster: Cluster) -> None:
    kept = {**PODS, "empty_dirs": ["a/web"], "staying": ["a/alone"], "cordoned": True}
    silent = {**PODS, "pods": [], "staying": ["a/web"], "silent": True}
    found = {"node-1": PODS, "node-2": kept, "control-1": {**PODS, "pods": []}, "control-2": silent}
    assert told(cluster, found) == [
        "node-1: 1 pods will be evicted: a/web",
        "node-2: 1 pods will be evicted: a/web",
        "node-2: emptyDir data will be deleted with these pods: a/web",
        "node-2: unmanaged pods are not evicted and start again with it: a/alone",
        "node-2: it is cordoned, and stays so",
        "control-1: 0 pods will be evicted: none",
        "control-2: its kubelet is silent: nothing is drained, its pods end with it: a/web",
        "etcd-1: it is no node: nothing is drained",
    ]


def test_what_a_cluster_of_one_host_is_without(tmp_path: Path) -> None:
    one = load(tmp_path, SINGLE)
    assert told(one, {"one": {**PODS, "pods": [], "staying": ["a/web"], "alone": True}}) == [
        "one: the API is away until it is back: it is the only control plane",
        "one: etcd stands still until it is back: of 1 members all are needed",
        "one: no other node takes pods: nothing is drained, its pods stay and start again with it: a/web",
    ]


def test_a_run_goes_on_with_what_the_one_before_has_left(cluster: Cluster) -> None:
    at = {"boot": "x", "at": "2026-01-02 03:04:05 UTC"}
    left, done = {**at, "done": False}, {**at, "done": True}
    roll = {"node-1": done, "node-2": done, "control-2": left, "etcd-1": left}
    assert told(cluster, {"control-1": PODS}, roll=roll, rebooted=("control-2",)) == [
        "This goes on with what the run of 2026-01-02 03:04:05 UTC has left; done by then: node-1, node-2",
        "control-1: 1 pods will be evicted: a/web",
        "control-2: it has rebooted since the run of 2026-01-02 03:04:05 UTC: it is given back once it is well",
        "etcd-1: it is no node: nothing is drained",
    ]
