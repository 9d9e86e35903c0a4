"""Containers on the hosts of a lab, attached to the network by the CNI list that flannel's role writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from testinfra.host import Host

from tests.lab import Lab

__all__ = ["Container", "containers", "from_host", "peer_seen_by_host"]

# Port 80 says who asks, port 7 returns each packet.
SERVERS = (
    "socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR' & exec socat -b 65536 UDP-LISTEN:7,fork PIPE"
)
ASK = "socat -u TCP:{}:{},connect-timeout=3 STDOUT"


@dataclass(frozen=True)
class Container:
    """A container that runs, with its host and its address in the pods' network."""

    lab: Lab
    host: Host
    address: str

    def sh(self, command: str) -> str:
        """What a command prints inside of it."""
        execute = f"ctr -n k8s.io task exec --exec-id {uuid4().hex} reachable sh -c {shlex.quote(command)}"
        return self.lab.sh(self.host, execute).strip()

    def peer_seen_by(self, other: Container) -> str:
        """Asks the other one, which answers with the address that it sees."""
        return self.sh(ASK.format(other.address, 80))

    def mtu(self) -> int:
        """Size of the largest packet that its interface takes."""
        return int(self.sh("cat /sys/class/net/eth0/mtu"))

    def returned_bytes(self, other: Container, packet: int) -> int:
        """How much of an IP packet of this size, which must not be cut in pieces, the other one sends back."""
        headers = 28
        udp = f"UDP:{other.address}:7,ip-mtu-discover=2"
        back = self.sh(f"head -c {packet - headers} /dev/zero | socat -b 65536 -t 2 STDIO {udp} | wc -c")
        return int(back) + headers


@contextmanager
def containers(lab: Lab) -> Iterator[list[Container]]:
    """One on each host."""
    try:
        yield [_run(lab, host) for host in lab.all]
    finally:
        for host in lab.all:
            _remove(host)


def from_host(lab: Lab, host: Host, container: Container) -> str:
    """Asks a container from a host, and returns the address that it sees."""
    return lab.sh(host, ASK.format(container.address, 80)).strip()


def peer_seen_by_host(container: Container, host: Host) -> str:
    """Asks a host from a container, and returns the address that the host sees."""
    lab = container.lab
    server = "socat TCP-LISTEN:8080,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'"
    lab.sh(host, f"systemd-run --quiet --collect --unit=who-asks {server}")
    try:
        # It listens a moment after it was started.
        return container.sh(f"socat -u TCP:{lab.address(host)}:8080,retry=20,interval=0.2,connect-timeout=3 STDOUT")
    finally:
        lab.sh(host, "systemctl stop who-asks")


def _run(lab: Lab, host: Host) -> Container:
    _remove(host)
    run = "ctr -n k8s.io run --detach --cni --rootfs --env PATH=/usr/sbin:/usr/bin /run/root reachable"
    lab.sh(host, f"{run} sh -c {shlex.quote(SERVERS)}")
    (address,) = Container(lab, host, "").sh("ip -4 -o address show dev eth0").split()[3:4]
    return Container(lab, host, address.split("/")[0])


def _remove(host: Host) -> None:
    # To kill it is what gives its address back.
    ctr = "ctr -n k8s.io"
    host.run(f"{ctr} task kill --signal KILL reachable; {ctr} task rm --force reachable; {ctr} container rm reachable")
