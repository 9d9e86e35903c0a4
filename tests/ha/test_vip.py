"""The same cluster by an address that its control planes hold in turn: it comes, moves, and goes with nothing lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kubeinstall import lab as labs
from tests.clusters import Cluster
from tests.ha.state import runs_with, whole
from tests.ha.test_changes import variables
from tests.ha.test_membership import change, members
from tests.ha.traffic import traffic
from tests.lab import eventually


@pytest.fixture(scope="module")
def address(cluster: Cluster) -> Iterator[str]:
    """The address of the API, while the cluster has one; before and after that each host has its own balancer."""
    address = f"{cluster.addresses[cluster.control_plane[0]].rpartition('.')[0]}.254"
    chosen = cluster.inventory / "group_vars" / "all" / "vip.yml"
    chosen.write_text(f"cluster_api_balancer: vip\ncluster_api_server: https://{address}:6443\n")
    try:
        with traffic(cluster, "balancers on each host give way to an address") as seen:
            cluster.apply()
        # The client goes the old way until that is taken away, last of all.
        assert seen.api.longest_gap < 10, f"{seen.api}"
        assert seen.service.failures == 0, f"{seen.service}"
        for name in cluster.addresses:
            assert not cluster.host(name).service("api-balancer").is_running
            assert not cluster.host(name).file("/etc/api-balancer").exists
        yield address
    finally:
        chosen.unlink()
        cluster.apply()
    assert holders(cluster, address) == []
    whole(cluster)


def holders(cluster: Cluster, address: str) -> list[str]:
    return [name for name in cluster.control_plane if holds(cluster, name, address)]


def holds(cluster: Cluster, name: str, address: str) -> bool:
    return bool(cluster.sh(name, f"ip -oneline address show to {address}/32"))


def test_every_host_goes_by_it(cluster: Cluster, address: str) -> None:
    assert len(holders(cluster, address)) == 1
    for name in cluster.addresses:
        assert f"server: https://{address}:6443" in cluster.sh(name, "cat /etc/kubernetes/kubelet.conf")
    assert address in cluster.kubectl("cluster-info")
    whole(cluster)


def test_another_argument_of_the_api_servers_moves_it(cluster: Cluster, address: str) -> None:
    with traffic(cluster, "an address: another argument of the API servers") as seen:
        cluster.playbook("kube_apiserver", *variables(kube_apiserver_extra_arguments={"v": "1"}))
        assert runs_with(cluster, "kube-apiserver", "--v=1") == cluster.control_plane
        cluster.playbook("kube_apiserver")
    assert len(holders(cluster, address)) == 1
    # What was under way when it moved: for each of the two rolls one read and one write at each move, of three at most.
    assert seen.api.failures <= 2 * 2 * len(cluster.control_plane), f"{seen.api}"
    assert seen.api.longest_gap < 5, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_its_holder_loses_its_power(cluster: Cluster, address: str) -> None:
    (name,) = holders(cluster, address)
    others = [other for other in cluster.control_plane if other != name]
    with traffic(cluster, "an address: its holder is killed, and started again", without=[name]) as seen:
        labs.stop(name)
        try:
            moved = eventually(lambda: [other for other in others if holds(cluster, other, address)], 15, "it moved")
        finally:
            labs.start(name)
        eventually(lambda: cluster.host(name).service("api-vip").is_running, 60, f"{name} is back")
        eventually(
            lambda: "ok" in cluster.sh(name, "kubectl get --raw=/readyz --kubeconfig=/etc/kubernetes/admin.conf")
        )
    assert holders(cluster, address) == moved
    assert seen.api.longest_gap < 10, f"{seen.api}"
    assert seen.service.longest_gap < 10, f"{seen.service}"
    whole(cluster)


def test_its_holder_leaves_the_cluster_and_comes_back(cluster: Cluster, address: str) -> None:
    (name,) = holders(cluster, address)
    others = [other for other in cluster.control_plane if other != name]
    with traffic(cluster, "an address: its holder is removed, and added again", without=[name]) as seen:
        change(cluster, "control-plane", "remove", name, "--yes")
        moved = holders(cluster, address)
        assert set(moved) < set(others)
        assert members(cluster, others[0]) == set(others)
        change(cluster, "control-plane", "add", name)
    assert holders(cluster, address) == moved
    assert seen.api.longest_gap < 10, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)
