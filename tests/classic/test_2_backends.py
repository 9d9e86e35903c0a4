"""Another backend on the living cluster: said beforehand, one host first, then the others together."""

from __future__ import annotations

import json

import pytest

from tests.classic.state import asked_all_the_time, leases, wish
from tests.clusters import Cluster
from tests.ha.state import whole

APPLICATIONS = {"shop": {"prefix": "/apps/shop/"}}
LINKS = {"vxlan": "flannel.1", "udp": "flannel0"}


def change(cluster: Cluster, backend: str, former: str, **more: object) -> None:
    """Make it so, by a run, and see that nothing of the former one is left."""
    wish(
        cluster,
        flannel_subnet_manager="etcd",
        etcd_application_users=APPLICATIONS,
        flannel_backend=backend,
        **more,
    )
    sentence = f"flannel_backend changes from {former} to {backend}"
    foreseen = cluster.apply("--check", "--diff")
    assert sentence in " ".join(foreseen.split())
    assert foreseen.count("one host first, then all others together") >= len(cluster.addresses)
    with asked_all_the_time(cluster, f"{former} -> {backend}"):
        assert sentence in " ".join(cluster.apply().split())
    for name in cluster.addresses:
        links = set(cluster.sh(name, "ls /sys/class/net").split())
        assert links & {*LINKS.values()} == ({LINKS[backend]} if backend in LINKS else set())
    whole(cluster)


def test_from_vxlan_to_host_gw_and_back(cluster: Cluster) -> None:
    change(cluster, "host-gw", "vxlan")
    assert {lease["BackendType"] for lease in leases(cluster, cluster.etcd[0]).values()} == {"host-gw"}
    change(cluster, "vxlan", "host-gw")
    assert {lease["BackendType"] for lease in leases(cluster, cluster.etcd[0]).values()} == {"vxlan"}


def test_vxlan_with_direct_routing(cluster: Cluster) -> None:
    wish(
        cluster,
        flannel_subnet_manager="etcd",
        etcd_application_users=APPLICATIONS,
        flannel_direct_routing=True,
    )
    with asked_all_the_time(cluster, "vxlan -> vxlan with direct routing"):
        cluster.apply()
    # All of them are on one link.
    assert "dev flannel.1" not in cluster.sh(cluster.nodes[0], "ip -4 route show root 10.244.0.0/16")
    whole(cluster)


def test_udp(cluster: Cluster) -> None:
    if not cluster.host(cluster.nodes[0]).file("/sys/class/misc/tun").exists:
        pytest.skip("this machine's kernel has no tun")
    for name in cluster.addresses:
        cluster.sh(name, "mkdir -p /dev/net; rm -f /dev/net/tun")
    said = cluster.playbook("preflight", "-e", json.dumps({"flannel_backend": "udp"}), code=2)
    assert "its kernel lacks tun, which flannel_backend udp needs" in said
    for name in cluster.addresses:
        cluster.sh(name, "mknod /dev/net/tun c 10 200")
    change(cluster, "udp", "vxlan")
    change(cluster, "vxlan", "udp")


def test_wireguard_is_refused_where_the_kernel_has_none(cluster: Cluster) -> None:
    if cluster.host(cluster.nodes[0]).run("modprobe -n wireguard").rc == 0:
        pytest.skip("this machine's kernel has wireguard")
    before = cluster.invocations()
    said = cluster.playbook("preflight", "-e", json.dumps({"flannel_backend": "wireguard"}), code=2)
    assert "its kernel lacks wireguard, which flannel_backend wireguard needs" in said
    assert cluster.invocations() == before
