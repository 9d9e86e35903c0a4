"""What a lab and its hosts are called, and which addresses they get: pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kubeinstall.errors import InputError, LabError, Problem

__all__ = [
    "CONTROL_PLANE",
    "ETCD",
    "NODE",
    "HostPlan",
    "Role",
    "check_name",
    "check_size",
    "choose_subnet",
    "etcd_members",
    "plan",
]

Role = Literal["control_plane", "etcd", "node"]
CONTROL_PLANE: Role = "control_plane"
ETCD: Role = "etcd"
NODE: Role = "node"

# Host names are node names: a DNS label of at most 63 characters, of which "-node150" takes eight.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")

# A host's address follows from its name, so that it is the same after `down` and `up` in the same subnet.
_FIRST = {CONTROL_PLANE: 10, ETCD: 80, NODE: 100}
_MOST = {CONTROL_PLANE: 70, ETCD: 19, NODE: 150}

# One /24 for each lab, away from Docker's pools (172.16/12, 192.168/16), from the usual pod network (10.244/16) and
# from the usual service network (10.96/12).
_POOL = ipaddress.ip_network("10.79.0.0/16")


@dataclass(frozen=True)
class HostPlan:
    """One host as it is to be: its name, its role, and its address."""

    name: str
    role: Role
    address: str


def check_name(name: str) -> None:
    """Raise InputError where `name` cannot be the name of a lab."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a lab",
            where="--name",
            remedy="lower-case letters, digits and hyphens, a letter first, no hyphen last, at most 40 characters: "
            "hosts and Kubernetes nodes are named after it",
        )


def check_size(control_planes: int, nodes: int, etcd_hosts: int = 0) -> None:
    """Raise InputError, with every problem, where a lab cannot have that many hosts."""
    problems = []
    if control_planes < 1:
        problems.append(Problem("--control-planes", f"{control_planes} is too few", "a cluster needs at least one"))
    sizes: tuple[tuple[str, int, Role], ...] = (
        ("--control-planes", control_planes, CONTROL_PLANE),
        ("--etcd-members", etcd_hosts, ETCD),
        ("--nodes", nodes, NODE),
    )
    for option, count, role in sizes:
        if count < 0 and role != CONTROL_PLANE:
            problems.append(Problem(option, f"{count} is no number of hosts", "0 or more"))
        if count > _MOST[role]:
            problems.append(Problem(option, f"{count} do not fit a lab's subnet", f"at most {_MOST[role]}"))
    if problems:
        raise InputError("; ".join(map(str, problems)), problems=problems)


def choose_subnet(taken: Iterable[str]) -> ipaddress.IPv4Network:
    """The first /24 of the lab's pool that overlaps none of `taken` (subnets as text, host bits allowed).

    Raises LabError where all of them are taken.
    """
    networks = [ipaddress.IPv4Network(subnet, strict=False) for subnet in taken]
    # A default route overlaps everything and takes nothing.
    networks = [network for network in networks if network.prefixlen > 0]
    for candidate in _POOL.subnets(new_prefix=24):
        if isinstance(candidate, ipaddress.IPv4Network) and not any(candidate.overlaps(net) for net in networks):
            return candidate
    raise LabError(
        f"no subnet of {_POOL} is free of the machine's routes and Docker's networks",
        remedy="`kubeinstall lab list` and `docker network ls` show what is there",
    )


def plan(
    name: str, control_planes: int, nodes: int, subnet: ipaddress.IPv4Network, etcd_hosts: int = 0
) -> list[HostPlan]:
    """The hosts of a lab by their addresses: control planes, hosts of etcd's own, nodes."""
    sizes: tuple[tuple[Role, str, int], ...] = (
        (CONTROL_PLANE, "cp", control_planes),
        (ETCD, "etcd", etcd_hosts),
        (NODE, "node", nodes),
    )
    return [
        HostPlan(f"{name}-{short}{number}", role, str(subnet[_FIRST[role] + number]))
        for role, short, count in sizes
        for number in range(1, count + 1)
    ]


def etcd_members(control_planes: Sequence[str], etcd_hosts: Sequence[str] = ()) -> list[str]:
    """The hosts that run etcd: its own, or else the control planes, one fewer where they are even (a quorum gains
    nothing by it)."""
    if etcd_hosts:
        return list(etcd_hosts)
    count = len(control_planes)
    return list(control_planes[: count - 1 if count > 1 and count % 2 == 0 else count])
