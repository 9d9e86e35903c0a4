"""What a host does with packets that are not its own, asked in network namespaces that are attached to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from testinfra.host import Host

from kubeinstall import lab as labs
from tests.lab import Lab, eventually

# Two networks with a machine in each; and a third whose two machines share a bridge, as a node's pods do.
ATTACH = """
set -e
attach() {  # namespace, its address, the host's
    ip netns add $1
    ip link add $1 type veth peer name eth0 netns $1
    ip link set $1 up
    ip -n $1 link set lo up
    ip -n $1 address add $2/24 dev eth0
    ip -n $1 link set eth0 up
    ip -n $1 route add default via $3
}
attach left 10.90.1.2 10.90.1.1
ip address add 10.90.1.1/24 dev left
attach right 10.90.2.2 10.90.2.1
ip address add 10.90.2.1/24 dev right
ip link add shared type bridge
ip link set shared up
ip address add 10.90.3.1/24 dev shared
attach this 10.90.3.2 10.90.3.1
attach that 10.90.3.3 10.90.3.1
ip link set this master shared
ip link set that master shared
for name in right that; do
    systemd-run --quiet --collect --unit=greeter-$name \
        ip netns exec $name socat TCP-LISTEN:8000,fork,reuseaddr "SYSTEM:echo greetings from $name"
done
"""
DETACH = """
systemctl stop greeter-right greeter-that
for name in left right this that shared; do ip link delete $name; ip netns delete $name; done 2>/dev/null
"""

# Two ways to lead a service address to that machine: what calls nft, and what calls iptables.
SERVICE = {
    "nft": (
        "nft 'table ip greeter { chain services { type nat hook prerouting priority dstnat;"
        " ip daddr 10.90.9.9 tcp dport 80 dnat to 10.90.3.3:8000; }; }'",
        "nft delete table ip greeter",
    ),
    "iptables": tuple(
        f"iptables -t nat -{what} PREROUTING -d 10.90.9.9 -p tcp --dport 80 -j DNAT --to-destination 10.90.3.3:8000"
        for what in "AD"
    ),
}


@contextmanager
def networks(lab: Lab, host: Host) -> Iterator[None]:
    """The networks are there, and who is asked in them answers."""
    host.run(DETACH)
    lab.sh(host, ATTACH)
    try:
        greeters = ("right", "that")
        eventually(lambda: all("greetings" in ask(host, name, "127.0.0.1:8000") for name in greeters), 10, "they greet")
        yield
    finally:
        host.run(DETACH)


def ask(host: Host, namespace: str, address: str) -> str:
    """What is answered at an address to who asks from a namespace, or why nothing is."""
    done = host.run(f"ip netns exec {namespace} socat -u TCP:{address},connect-timeout=3 -")
    # Without the clock and the number that stand before what socat says.
    return str(done.stdout or done.stderr.rpartition(" E ")[2]).strip()


def check_forwarding(lab: Lab, host: Host) -> None:
    with networks(lab, host):
        said = ask(host, "left", "10.90.2.2:8000")
    assert said == "greetings from right", f"{lab.name(host)} does not forward from one network to another: {said}"


def check_neighbours(lab: Lab, host: Host, tool: str) -> None:
    """The answer goes over the bridge alone: it is told by the filter only that it is the service's."""
    begin, end = SERVICE[tool]
    with networks(lab, host):
        lab.sh(host, begin)
        try:
            said = ask(host, "this", "10.90.9.9:80")
        finally:
            lab.sh(host, end)
    assert said == "greetings from that", f"a neighbour's answer misses the way back through a service address: {said}"


def test_packets_of_one_network_reach_another(lab: Lab) -> None:
    (host,) = lab.all
    check_forwarding(lab, host)


@pytest.mark.parametrize("tool", SERVICE)
def test_neighbours_reach_each_other_by_a_service_address(lab: Lab, tool: str) -> None:
    (host,) = lab.all
    check_neighbours(lab, host, tool)


def test_all_of_that_survives_a_reboot(lab: Lab) -> None:
    (host,) = lab.all
    labs.reboot(lab.name(host))
    check_forwarding(lab, host)
    check_neighbours(lab, host, "nft")
