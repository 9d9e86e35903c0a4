"""etcd on three hosts of its own, beside a control plane and a node; their lab goes before the other one comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kubeinstall import lab as labs
from tests.clusters import Cluster, lab_of
from tests.ha.state import boots, cordoned, leader, whole
from tests.ha.traffic import traffic
from tests.lab import eventually


@pytest.fixture(scope="module")
def apart(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    size = ("--control-planes", "1", "--etcd-members", "3", "--nodes", "1")
    with lab_of("test-ha-apart", *size, keep=request.config.getoption("--keep-lab")) as cluster:
        cluster.apply()
        yield cluster


def test_hosts_of_etcd_run_nothing_else(apart: Cluster) -> None:
    assert len(apart.etcd) == 3
    for name in apart.etcd:
        assert apart.host(name).service("etcd").is_running
        assert not apart.host(name).file("/etc/kubernetes").exists
        assert not apart.host(name).file("/usr/local/bin/kubelet").exists
    assert not apart.host(apart.control_plane[0]).file("/var/lib/etcd").exists
    assert {node["metadata"]["name"] for node in apart.objects("nodes")} == {*apart.control_plane, *apart.nodes}
    whole(apart)


def test_a_member_whose_host_loses_its_power(apart: Cluster) -> None:
    name = leader(apart)
    with traffic(apart, "etcd apart: the leader's host is killed, and started again") as seen:
        labs.stop(name)
        try:
            eventually(lambda: leader(apart, without=name), what="another member leads")
            # An API server may notice only by its connections' timeouts that the member it asks is gone.
            time.sleep(45)
            apart.kubectl("create", "configmap", "meanwhile", "--from-literal=a=b")
        finally:
            labs.start(name)
        eventually(lambda: apart.host(name).service("etcd").is_running, what=f"etcd runs on {name} again")
        apart.kubectl("delete", "configmap", "meanwhile")
    assert seen.api.longest_gap < 10, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(apart)


def test_all_hosts_are_rebooted_one_after_another(apart: Cluster) -> None:
    control_plane, node, *_ = (*apart.control_plane, *apart.nodes)
    before = boots(apart)
    said = apart.command("reboot", "--yes", "-i", apart.inventory)
    assert f"{node}: no other node takes pods: nothing is drained" in said
    assert f"{control_plane}: the API is away until it is back: it is the only control plane" in said
    assert f"{apart.etcd[0]}: it is no node: nothing is drained" in said
    assert [name for name, boot in boots(apart).items() if boot == before[name]] == []
    assert cordoned(apart) == set()
    whole(apart)
