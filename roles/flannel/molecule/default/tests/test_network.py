"""The hosts' containers are one network, which nodes join and leave."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from roles.flannel.molecule.containers import Container, containers, from_host, peer_seen_by_host
from tests.lab import Lab, eventually

NEWCOMER = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": "newcomer",
        # What its flanneld would say of it.
        "annotations": {
            "flannel.alpha.coreos.com/backend-data": json.dumps({"VNI": 1, "VtepMAC": "02:00:00:00:00:77"}),
            "flannel.alpha.coreos.com/backend-type": "vxlan",
            "flannel.alpha.coreos.com/kube-subnet-manager": "true",
            "flannel.alpha.coreos.com/public-ip": "192.0.2.77",
        },
    },
    "spec": {"podCIDR": "10.244.77.0/24"},
}


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[list[Container]]:
    with containers(lab) as found:
        yield found


def way_to_newcomer(lab: Lab, host: Host) -> tuple[bool, bool]:
    """Whether packets to its containers are sent into the tunnel, and whether the tunnel knows its host."""
    route = lab.sh(host, "ip route show 10.244.77.0/24")
    bridge = lab.sh(host, "bridge fdb show dev flannel.1")
    return "dev flannel.1" in route, "02:00:00:00:00:77 dst 192.0.2.77" in bridge


def ways_to_newcomer(lab: Lab) -> set[tuple[bool, bool]]:
    return {way_to_newcomer(lab, host) for host in lab.all}


def test_a_node_is_known_to_all_from_when_it_joins_until_it_leaves(lab: Lab) -> None:
    lab.kubectl("delete node newcomer --ignore-not-found")
    lab.kubectl("create --filename=-", NEWCOMER)
    try:
        joined = "all hosts have a way to the containers of a node that joined"
        eventually(lambda: ways_to_newcomer(lab) == {(True, True)}, 15, joined)
    finally:
        lab.kubectl("delete node newcomer")
    left = "no host has a way any more to the containers of a node that left"
    eventually(lambda: ways_to_newcomer(lab) == {(False, False)}, 15, left)


def test_containers_of_different_hosts_reach_each_other_under_their_own_addresses(pair: list[Container]) -> None:
    one, other = pair
    assert one.host is not other.host
    assert one.peer_seen_by(other) == one.address
    assert other.peer_seen_by(one) == other.address


def test_the_largest_packet_of_a_container_arrives_whole(pair: list[Container]) -> None:
    one, other = pair
    assert one.returned_bytes(other, one.mtu()) == one.mtu()


def test_hosts_reach_the_containers_of_all(lab: Lab, pair: list[Container]) -> None:
    for host in lab.all:
        for container in pair:
            assert from_host(lab, host, container)


def test_the_world_outside_sees_the_host_of_a_container(lab: Lab, pair: list[Container]) -> None:
    one, other = pair
    assert peer_seen_by_host(one, other.host) == lab.address(one.host)


def test_what_was_lost_is_made_again_by_a_flanneld_that_was_killed(lab: Lab, pair: list[Container]) -> None:
    one, other = pair
    lab.sh(one.host, "ip link delete flannel.1 && systemctl kill --signal=KILL flanneld")
    eventually(lambda: one.peer_seen_by(other) == one.address, 20, "the containers reach each other again")
