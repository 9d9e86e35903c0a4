"""What firewalld keeps out, on as many hosts as a cluster has."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known, known_inputs
from kubeinstall.cluster.reports import Facts
from kubeinstall.cluster.traffic import _outside, check_traffic
from tests.unit.test_cases import GOOD

HOSTS = 300
ADDRESSES = [str(IPv4Address("10.1.0.1") + number) for number in range(HOSTS)]


@pytest.fixture(scope="module")
def known() -> Known:
    return known_inputs()


def problems(known: Known, trusted: Iterable[str], **more: Any) -> list[str]:
    """Of hosts that all trust the same."""
    hosts = tuple(HostInput(name=f"node-{n}", values={"node_address": ip}) for n, ip in enumerate(ADDRESSES))
    groups = {"etcd": ("node-0",), "control_plane": ("node-0",), "node": tuple(host.name for host in hosts[1:])}
    defaults = {"cluster_pod_network": "10.244.0.0/16"}
    inputs = Inputs(directory=Path(), hosts=hosts, groups=groups, defaults=defaults)
    facts = Facts(**GOOD, firewalld=tuple(trusted), **more)
    findings = Findings(inputs)
    check_traffic([(host, facts) for host in hosts], inputs, known, findings)
    return [str(problem) for problem in findings.problems()]


def test_hosts_that_trust_each_other_are_let_in(known: Known) -> None:
    assert problems(known, [*ADDRESSES, "10.244.0.0/17", "10.244.128.0/17", "52:54:00:12:34:56", "ipset:office"]) == []


def test_what_is_not_trusted_is_named(known: Known) -> None:
    trusted = [address for address in ADDRESSES if address not in (ADDRESSES[7], ADDRESSES[299])]
    (problem,) = problems(known, trusted)
    assert problem.startswith("all hosts: its firewalld keeps out what the cluster's hosts and pods send")
    assert f"--add-source=10.244.0.0/16 --add-source={ADDRESSES[7]} --add-source={ADDRESSES[299]} &&" in problem


def test_an_address_that_another_host_has_too_is_named(known: Known) -> None:
    """As behind NAT: each machine has the first one's address on another link."""
    networks = ({"link": "eth1", "address": f"{ADDRESSES[0]}/16"},)
    (problem,) = problems(known, [*ADDRESSES, "10.244.0.0/16"], networks=networks)
    assert problem.startswith(f"node-0: its node address {ADDRESSES[0]} is that of node-1's eth1 too")


@pytest.mark.parametrize(
    ("sources", "outside"),
    [
        ([], ["10.0.0.0/24"]),
        (["10.0.0.0/25"], ["10.0.0.0/24"]),
        (["10.0.0.128/25", "10.0.0.0/25"], []),
        (["0.0.0.0/0"], []),
        (["10.0.1.0/24", "9.0.0.0/8"], ["10.0.0.0/24"]),
    ],
)
def test_sources_cover_together(sources: list[str], outside: list[str]) -> None:
    assert list(map(str, _outside([IPv4Network("10.0.0.0/24")], map(IPv4Network, sources)))) == outside
