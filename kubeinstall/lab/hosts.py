"""Lab hosts as containers: create, start, look, reboot, remove. Everything is found again by its labels."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from kubeinstall.distribution import Say
from kubeinstall.errors import LabError
from kubeinstall.lab.containers import Container, ContainerSpec
from kubeinstall.lab.daemon import cache_folder
from kubeinstall.lab.engine import Engine
from kubeinstall.lab.naming import CONTROL_PLANE, ETCD, NODE, HostPlan, Role, choose_subnet
from kubeinstall.lab.ssh import SshState
from kubeinstall.lab.ways import WAYS, Way, apply_way

__all__ = [
    "LAB_LABEL",
    "LabHost",
    "boot",
    "create",
    "ensure_network",
    "existing",
    "host_keys",
    "network_name",
    "reboot",
    "remove_all",
    "settle",
    "start",
    "stop",
]

LAB_LABEL = "kubeinstall.lab"
_ROLE_LABEL = "kubeinstall.lab.role"
_WAY_LABEL = "kubeinstall.lab.way"
_INVENTORY_LABEL = "kubeinstall.lab.inventory"
_ROLES: dict[str, Role] = {role: role for role in (CONTROL_PLANE, ETCD, NODE)}

# Starting thirty systemds at once on a small machine takes each of them longer than its timeouts allow.
_AT_ONCE = 4
# A host makes its key in a moment, but a machine under load takes its time to start a container.
_KEY_SECONDS = 60

T = TypeVar("T")


@dataclass(frozen=True)
class LabHost:
    """A host that is there: `state` is the engine's word for it (`running`, `exited`, `created`)."""

    name: str
    lab: str
    role: Role
    address: str
    state: str
    way: Way
    inventory: Path


def network_name(lab: str) -> str:
    """The Docker network of a lab."""
    return f"kubeinstall-{lab}"


def existing(engine: Engine, lab: str | None = None) -> list[LabHost]:
    """The hosts of one lab, or of all, whatever their state, control planes first."""
    found = engine.containers(LAB_LABEL if lab is None else f"{LAB_LABEL}={lab}")
    hosts = [_as_host(container) for container in found]
    return sorted(hosts, key=lambda host: (host.lab, ipaddress.IPv4Address(host.address or "0.0.0.0")))  # noqa: S104


def _as_host(container: Container) -> LabHost:
    labels = container.labels
    return LabHost(
        name=container.name,
        lab=labels[LAB_LABEL],
        role=_ROLES[labels.get(_ROLE_LABEL, CONTROL_PLANE)],
        address=container.address,
        state=container.state,
        way=WAYS[labels.get(_WAY_LABEL, "ordinary")],
        inventory=Path(labels.get(_INVENTORY_LABEL, "")),
    )


def ensure_network(engine: Engine, lab: str) -> ipaddress.IPv4Network:
    """The subnet of the lab's own bridge network, made when missing where nothing else is."""
    # Two labs that come up at once would choose the same subnet.
    with FileLock(cache_folder() / "network.lock"):
        networks = engine.networks()
        for network in networks:
            if network.name == network_name(lab) and network.subnets:
                return ipaddress.IPv4Network(network.subnets[0])
        taken = [subnet for network in networks for subnet in network.subnets]
        subnet = choose_subnet([*taken, *_machine_routes()])
        engine.create_network(network_name(lab), str(subnet), str(subnet[1]), {LAB_LABEL: lab}, _machine_mtu())
    return subnet


def create(engine: Engine, lab: str, plan: HostPlan, image: str, way: Way, inventory: Path) -> None:
    """Create a host's container, not started."""
    labels = {
        LAB_LABEL: lab,
        _ROLE_LABEL: plan.role,
        _WAY_LABEL: way.name,
        _INVENTORY_LABEL: str(inventory.absolute()),
    }
    spec = ContainerSpec(plan.name, image, network_name(lab), plan.address, labels)
    engine.create(apply_way(spec, way))


def boot(engine: Engine, hosts: Sequence[LabHost], authorized_key: str, resolvers: Sequence[str]) -> None:
    """Let the lab's key into each host, and start side by side those that do not run."""
    files = {
        # Not in a home folder: it is for root and for the ordinary user alike, and sshd is told where (host/setup).
        "/etc/ssh/lab_authorized_keys": (f"{authorized_key}\n".encode(), 0o644),
        # Docker's own resolver answers inside the host only: pods get the machine's instead, where it has any.
        "/etc/kubelet-resolv.conf": ("".join(f"nameserver {address}\n" for address in resolvers).encode(), 0o644),
    }

    def start(host: LabHost) -> None:
        engine.write(host.name, files)
        if host.state != "running":
            engine.start(host.name)

    _side_by_side(start, hosts)


def settle(engine: Engine, hosts: Sequence[LabHost], ssh: SshState, say: Say) -> None:
    """Wait until each host has started up and SSH lets us in; units that failed are named, and do not stop anything."""

    def wait(host: LabHost) -> None:
        ssh.wait(host.name, host.address)
        _, state = engine.run(host.name, ["timeout", "60", "systemctl", "is-system-running", "--wait"])
        if (word := state.strip().rsplit("\n", 1)[-1]) != "running":
            _, failed = engine.run(host.name, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
            units = " ".join(line.split()[0] for line in failed.splitlines() if line.split())
            say(f"{host.name}: systemd is {word or 'silent'}" + (f", failed: {units}" if units else ""))

    _side_by_side(wait, hosts)


def host_keys(engine: Engine, hosts: Iterable[LabHost]) -> dict[str, tuple[str, str]]:
    """Each running host's address and public host key, read through the engine: nothing is trusted on first use."""
    return {host.name: (host.address, _host_key(engine, host)) for host in hosts}


def _host_key(engine: Engine, host: LabHost) -> str:
    deadline = time.monotonic() + _KEY_SECONDS
    while True:
        # While a host arranges its control groups, whatever is run in it from outside may end at once: ask again.
        code, output = engine.run(host.name, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
        if code == 0 and output.startswith("ssh-ed25519 "):
            return output.strip()
        if time.monotonic() > deadline:
            raise LabError(
                f"the host made no SSH host key; its last words: {engine.logs(host.name)[-300:].strip() or 'none'}",
                where=host.name,
                remedy="`kubeinstall lab down`, then up again",
            )
        time.sleep(0.1)


def reboot(engine: Engine, host: LabHost, ssh: SshState, say: Say) -> None:
    """A host's reboot: systemd shuts down and starts again; disk, address and identity stay, /run is fresh."""
    engine.stop(host.name)
    start(engine, host, ssh, say)


def stop(engine: Engine, host: LabHost) -> None:
    """Cut a host's power: nothing on it gets the time for a last word, and it stays off until it is started."""
    engine.kill(host.name)


def start(engine: Engine, host: LabHost, ssh: SshState, say: Say) -> None:
    """Turn a host on, and wait until it answers; one that runs already is only waited for."""
    engine.start(host.name)
    settle(engine, [host], ssh, say)


def remove_all(engine: Engine, lab: str) -> bool:
    """Remove a lab's hosts, volumes and network, also what a half-failed start left; whether there was anything."""
    names = [container.name for container in engine.containers(f"{LAB_LABEL}={lab}")]
    _side_by_side(engine.remove, names)
    engine.remove_volumes(f"{LAB_LABEL}={lab}")
    networks = [network.name for network in engine.networks() if network.labels.get(LAB_LABEL) == lab]
    for network in networks:
        engine.remove_network(network)
    return bool(names or networks)


def _side_by_side(work: Callable[[T], None], items: Sequence[T]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, items):
            pass


def _machine_routes() -> list[str]:
    """The machine's IPv4 routes, as subnets."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        # The kernel writes both as little-endian hexadecimal numbers.
        destination, mask = (socket.inet_ntoa(struct.pack("<I", int(line.split()[column], 16))) for column in (1, 7))
        routes.append(f"{destination}/{mask}")
    return routes


def _machine_mtu() -> int:
    """The MTU (bytes) of the interface with the default route: larger packets of a host would not get out."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == fields[7] == "00000000":
            return int(Path(f"/sys/class/net/{fields[0]}/mtu").read_text())
    return 1500
