"""The hosts' containers are one network without a tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from roles.flannel.molecule.containers import Container, containers, from_host, peer_seen_by_host
from tests.lab import Lab, eventually


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[list[Container]]:
    with containers(lab) as found:
        yield found


def test_containers_reach_each_other_under_addresses_of_the_wanted_network(pair: list[Container]) -> None:
    one, other = pair
    assert one.host is not other.host
    assert one.peer_seen_by(other) == one.address
    assert other.peer_seen_by(one) == other.address
    assert {ip_address(container.address) in ip_network("172.29.0.0/16") for container in pair} == {True}


def test_containers_send_packets_as_large_as_their_hosts_do(lab: Lab, pair: list[Container]) -> None:
    one, other = pair
    largest = int(lab.sh(one.host, "cat /sys/class/net/eth0/mtu"))
    assert one.returned_bytes(other, largest) == largest


def test_hosts_reach_the_containers_of_all(lab: Lab, pair: list[Container]) -> None:
    for host in lab.all:
        for container in pair:
            assert from_host(lab, host, container)


def test_who_masquerades_is_iptables_and_is_mended(lab: Lab, pair: list[Container]) -> None:
    one, other = pair
    assert peer_seen_by_host(one, other.host) == lab.address(one.host)
    lab.sh(one.host, "iptables --wait --table nat --flush FLANNEL-POSTRTG")
    mended = "flanneld has the outside see the container's host again"
    eventually(lambda: peer_seen_by_host(one, other.host) == lab.address(one.host), 15, mended)


def test_the_users_arguments_win_over_the_roles_own(lab: Lab) -> None:
    one, other = lab.all
    lab.sh(one, f"curl --silent --show-error --fail --max-time 5 http://{lab.address(other)}:10264/healthz")
