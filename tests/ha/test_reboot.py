"""Hosts are rebooted one after another: clients see nothing of it, what costs too much is refused, a failure ends it.

That all of a cluster is rebooted, with its only control plane and members of etcd on hosts of their own, is in
test_apart.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.clusters import Cluster
from tests.ha.state import boots, cordoned, whole
from tests.ha.test_membership import guarded
from tests.ha.traffic import traffic
from tests.lab import eventually


def reboot(cluster: Cluster, *names: str, code: int = 0) -> str:
    return cluster.command("reboot", *names, "--yes", "-i", cluster.inventory, code=code)


def rebooted(cluster: Cluster, before: dict[str, str]) -> set[str]:
    return {name for name, boot in boots(cluster).items() if boot != before[name]}


def left(cluster: Cluster) -> set[str]:
    """Whom a run has left, as the cluster remembers it."""
    found = json.loads(cluster.lab.kubectl("get configmap -n kube-system kubeinstall-reboot --output=json"))
    return {name for name, one in (found.get("data") or {}).items() if not json.loads(one)["done"]}


@contextmanager
def stopped(cluster: Cluster, unit: str, *names: str) -> Iterator[None]:
    for name in names:
        cluster.sh(name, f"systemctl stop {unit}")
    try:
        yield
    finally:
        for name in names:
            cluster.sh(name, f"systemctl start {unit}")
            eventually(lambda name=name: cluster.host(name).service(unit).is_running)  # type: ignore[misc]


def test_a_node_and_control_planes(cluster: Cluster) -> None:
    node, names = cluster.nodes[-1], [*cluster.control_plane[:2], cluster.nodes[-1]]
    before = boots(cluster)
    try:
        with traffic(cluster, "a node and two control planes are rebooted", without=names) as seen:
            cluster.lab.kubectl(f"cordon {node}")
            said = reboot(cluster, *names)
        assert f"{node}: it is cordoned, and stays so" in said
        assert cordoned(cluster) == {node}
    finally:
        cluster.lab.kubectl(f"uncordon {node}")
    assert rebooted(cluster, before) == set(names)
    assert left(cluster) == set()
    assert seen.api.failures == 0, seen.api
    assert seen.service.failures == 0, seen.service
    whole(cluster)


def dns_nodes(cluster: Cluster) -> list[str]:
    pods = cluster.lab.objects("pods --namespace=kube-system --selector=k8s-app=kube-dns")
    return [pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def test_the_dns_stays_spread_where_two_nodes_take_it(cluster: Cluster) -> None:
    """With two nodes both of its pods are on one while the other reboots, and none would bring them back."""
    out, others = cluster.control_plane, cluster.nodes
    for name in out:
        cluster.lab.kubectl(f"cordon {name}")
    try:
        cluster.lab.kubectl("rollout restart deployment/coredns --namespace=kube-system")
        cluster.lab.kubectl("rollout status deployment/coredns --namespace=kube-system --timeout=90s")
        assert sorted(dns_nodes(cluster)) == sorted(others)
        reboot(cluster, others[0])
        assert sorted(dns_nodes(cluster)) == sorted(others)
    finally:
        for name in out:
            cluster.lab.kubectl(f"uncordon {name}")
    whole(cluster)


def test_a_failure_leaves_the_rest_and_the_next_run_goes_on(cluster: Cluster) -> None:
    first, second = cluster.nodes
    before = boots(cluster)
    # It will not come back by itself.
    cluster.sh(first, "systemctl disable kube-proxy")
    variables = {"reboot_hosts": [first, second], "reboot_settle_timeout": 20}
    said = " ".join(cluster.playbook("reboot", "-e", json.dumps(variables), code=2).split())
    assert "after 20 s this host does not do its work: kube-proxy: kube-proxy.service is inactive" in said
    assert rebooted(cluster, before) == {first}
    assert cordoned(cluster) == {first}
    assert left(cluster) == {first, second}
    cluster.sh(first, "systemctl enable --now kube-proxy")
    after = boots(cluster)
    said = reboot(cluster, first, second)
    assert f"{first}: it has rebooted since the run of" in said
    assert rebooted(cluster, after) == {second}
    assert (cordoned(cluster), left(cluster)) == (set(), set())
    whole(cluster)


def test_what_the_cluster_cannot_do_without_is_refused(cluster: Cluster) -> None:
    first, *others = cluster.control_plane
    before = boots(cluster)
    with stopped(cluster, "etcd", others[0]):
        assert f"without {first} etcd would have no quorum" in reboot(cluster, cluster.nodes[0], first, code=1)
    with stopped(cluster, "kube-apiserver", *others):
        assert "nobody would do its work while it is restarted" in reboot(cluster, first, code=1)
    with guarded(cluster, cluster.nodes[0]):
        assert "The disruption budget guarded needs 1 healthy pods" in reboot(cluster, cluster.nodes[0], code=1)
    assert "it is named twice" in reboot(cluster, first, first, code=2)
    assert rebooted(cluster, before) == set()
    assert cordoned(cluster) == set()
    whole(cluster)


@pytest.mark.parametrize("by", ["the command", "a playbook"])
def test_a_look_changes_nothing(cluster: Cluster, by: str) -> None:
    before = boots(cluster), cluster.invocations()
    if by == "the command":
        said = cluster.command("reboot", "--check", "-i", cluster.inventory)
        assert f"cordon {cluster.nodes[0]}" in said
    else:
        cluster.playbook("reboot", "--check", "--diff")
    assert (boots(cluster), cluster.invocations()) == before
    assert cordoned(cluster) == set()
