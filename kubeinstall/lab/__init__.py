"""Hosts to try kubeinstall on: containers with systemd and sshd on the local Docker engine, and an inventory of them.

`up`, `down` and `listing` are the verbs; provisioning reaches the hosts over SSH and knows nothing of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from kubeinstall.distribution import Say
from kubeinstall.errors import InputError, LabError
from kubeinstall.lab import daemon, hosts, image, inventory, machine
from kubeinstall.lab.engine import Engine, connect
from kubeinstall.lab.hosts import LabHost
from kubeinstall.lab.naming import CONTROL_PLANE, HostPlan, check_name, check_size, plan
from kubeinstall.lab.ssh import SshState
from kubeinstall.lab.ways import find_way

__all__ = ["DEFAULT_NAME", "Lab", "LabHost", "Say", "down", "listing", "reboot", "ssh_command", "start", "stop", "up"]

DEFAULT_NAME = "lab"
_INVENTORIES = Path("inventory")


@dataclass(frozen=True)
class Lab:
    """A lab as it is: its name, its hosts (control planes first), and the folder of its inventory."""

    name: str
    hosts: tuple[LabHost, ...]
    inventory: Path

    @property
    def ssh(self) -> SshState:
        """The key and known_hosts of this lab."""
        return inventory.ssh_state(self.inventory)


def up(
    name: str = DEFAULT_NAME,
    control_planes: int = 1,
    nodes: int = 2,
    say: Say = print,
    inventories: Path = _INVENTORIES,
    etcd_hosts: int = 0,
) -> Lab:
    """Make a lab of that size be there, and its inventory in `inventories`/`name`.

    With no hosts of etcd's own the control planes are its members. Hosts that are there stay as they are, stopped ones
    are started, missing ones are added; more than were asked for stay too, and that is said. Returns when each host
    answers over SSH. Raises InputError for a name or size that cannot be, LabError where the engine or a host does not
    do its part.
    """
    check_name(name)
    check_size(control_planes, nodes, etcd_hosts)
    engine = daemon.answering(say)
    with _alone(name):
        present = hosts.existing(engine, name)
        folder = _folder(name, present, inventories, say)
        inventory.check_folder(folder, name)
        if not present and inventory.remove(folder, name):
            # What the state folder knows of a cluster (its authorities, that it was formed) is not true of new hosts.
            say(f"The hosts of an earlier lab {name} are gone: its inventory and its cluster's state are written anew")
        subnet = hosts.ensure_network(engine, name)
        missing = _missing(name, plan(name, control_planes, nodes, subnet, etcd_hosts), present, say)
        host_image = image.ensure(engine, say) if missing else ""
        way = present[0].way if present else find_way(engine, host_image, say)
        facts = machine.facts(engine.info(), way)
        # The inventory comes first: should a host fail to start, `down` finds everything there is to remove.
        all_hosts = [HostPlan(host.name, host.role, host.address) for host in present] + missing
        inventory.write(folder, name, sorted(all_hosts, key=_order), facts)
        for host in missing:
            hosts.create(engine, name, host, host_image, way, folder)
        ssh = inventory.ssh_state(folder)
        hosts.boot(engine, hosts.existing(engine, name), ssh.public_key(), facts.resolvers)
        lab = Lab(name, tuple(hosts.existing(engine, name)), folder)
        ssh.write_known_hosts(hosts.host_keys(engine, lab.hosts))
        hosts.settle(engine, lab.hosts, ssh, say)
        machine.prepare_kernel(engine, lab.hosts[0].name, len(hosts.existing(engine)), say)
    return lab


def _alone(name: str) -> FileLock:
    """Two commands on one lab go one after the other."""
    return FileLock(daemon.cache_folder() / f"lab-{name}.lock")


def _folder(name: str, present: Sequence[LabHost], inventories: Path, say: Say) -> Path:
    """Where the lab's inventory is: where it was made, or here for a new lab."""
    here = (inventories / name).absolute()
    made_at = present[0].inventory if present else here
    if made_at != here:
        if not inventory.wrote(made_at, name):
            raise LabError(
                f"the lab {name} was made with its inventory in {made_at}, which is gone",
                remedy=f"`kubeinstall lab down --name {name}`, then up again, or another --name",
            )
        say(f"The lab {name} was made elsewhere: its inventory is {made_at}")
    return made_at


def _order(host: HostPlan) -> tuple[int, ...]:
    return tuple(int(part) for part in host.address.split("."))


def _missing(name: str, wanted: Sequence[HostPlan], present: Sequence[LabHost], say: Say) -> list[HostPlan]:
    """The hosts still to be made; says so, and which are there beyond what was asked for."""
    there = {host.name for host in present}
    missing = [host for host in wanted if host.name not in there]
    if missing:
        say(f"Making {len(missing)} host{'s'[: len(missing) > 1]}: {', '.join(host.name for host in missing)}")
        control_planes = sum(host.role == CONTROL_PLANE for host in missing)
        machine.warn_of_memory(control_planes, len(missing) - control_planes, say)
    names = {host.name for host in wanted}
    if extra := [host.name for host in present if host.name not in names]:
        say(
            f"The lab {name} has more hosts than were asked for, and they stay: {', '.join(extra)} "
            f"(`kubeinstall lab down --name {name}` and up again makes it smaller)"
        )
    return missing


def down(name: str = DEFAULT_NAME, say: Say = print, inventories: Path = _INVENTORIES) -> bool:
    """Remove a lab: hosts, their data, network and inventory; False where there was nothing of it.

    Works after an `up` that failed half-way. Without an engine only the inventory is left to be removed.
    """
    check_name(name)
    folder = (inventories / name).absolute()
    removed = False
    with _alone(name):
        if engine := connect():
            present = hosts.existing(engine, name)
            folder = present[0].inventory if present else folder
            removed = hosts.remove_all(engine, name)
        else:
            say("No Docker engine answers: hosts, if there are any, stay as they are")
        wrote = inventory.remove(folder, name)
    if wrote and folder.exists():
        say(f"{folder} stays: it holds files that are not the lab's")
    return removed or wrote


def listing() -> list[Lab]:
    """Every lab of this engine, by name; none where no engine answers."""
    engine = connect()
    found: dict[str, list[LabHost]] = {}
    for host in hosts.existing(engine) if engine else ():
        found.setdefault(host.lab, []).append(host)
    return [Lab(name, tuple(members), members[0].inventory) for name, members in sorted(found.items())]


def _find(host_name: str) -> tuple[Engine, Lab, LabHost]:
    engine = connect()
    if engine is None:
        raise LabError("no Docker engine answers, so there are no lab hosts", remedy="`kubeinstall lab up`")
    labs = listing()
    for lab in labs:
        for host in lab.hosts:
            if host_name == host.name:
                return engine, lab, host
    known = ", ".join(host.name for lab in labs for host in lab.hosts) or "none"
    raise InputError(f"there is no lab host {host_name!r}", where="HOST", remedy=f"there are: {known}")


def ssh_command(host_name: str, command: Sequence[str] = ()) -> list[str]:
    """The ssh command line that reaches a lab host as root. Raises InputError, with the known names, for another."""
    _, lab, host = _find(host_name)
    if host.state != "running":
        raise LabError("the host does not run", where=host_name, remedy=f"`kubeinstall lab up --name {lab.name}`")
    return lab.ssh.command(host.address, command)


def reboot(host_name: str, say: Say = print) -> None:
    """Reboot a lab host, and return when it answers again."""
    engine, lab, host = _find(host_name)
    hosts.reboot(engine, host, lab.ssh, say)


def stop(host_name: str) -> None:
    """Cut a lab host's power; it stays off, with its data, until `start` or `up`."""
    engine, _, host = _find(host_name)
    hosts.stop(engine, host)


def start(host_name: str, say: Say = print) -> None:
    """Turn a lab host on, and return when it answers."""
    engine, lab, host = _find(host_name)
    hosts.start(engine, host, lab.ssh, say)
