"""What is asked of a host, and the answer: the facts of hostside/probe.py, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE

__all__ = ["AUTHORITIES", "PORTS", "QUESTIONS", "Facts", "Port", "Report", "clock_ahead"]

# {group: {TCP port: (whose it is, whether it listens on 127.0.0.1 only)}}
PORTS: Mapping[str, Mapping[int, tuple[str, bool]]] = {
    ETCD: {2379: ("etcd", False), 2380: ("etcd", False), 2381: ("etcd", True)},
    CONTROL_PLANE: {
        6443: ("kube-apiserver", False),
        10257: ("kube-controller-manager", True),
        10259: ("kube-scheduler", True),
    },
    NODE: {
        10248: ("kubelet", True),
        10249: ("kube-proxy", True),
        10250: ("kubelet", False),
        10256: ("kube-proxy", False),
        10264: ("flanneld", True),
        7443: ("api-balancer", True),
    },
}
PROGRAMS = ("apt-get", "dnf", "iptables", "nft")
# {file on a host: the authority whose certificate it is}
AUTHORITIES = {
    "/etc/kubernetes/pki/ca.crt": "kubernetes",
    "/etc/etcd/pki/ca.crt": "etcd",
    "/etc/etcd/pki/peer-ca.crt": "etcd-peer",
}
# The probe's spec.
QUESTIONS: Mapping[str, Any] = {
    "ports": sorted(port for ports in PORTS.values() for port in ports),
    "programs": PROGRAMS,
    "digests": tuple(AUTHORITIES),
    "calendars": (),
}


class Port(BaseModel):
    port: int
    address: str
    pid: int | None
    process: str
    unit: str
    ours: bool


class Expired(BaseModel):
    """A certificate on a host that has ended; `until` is in seconds since the epoch."""

    path: str
    until: float


class Facts(BaseModel):
    """What the probe returns; see there for units. All after `root` is there only for root."""

    model_config = ConfigDict(frozen=True)

    python: str
    user: str
    root: bool
    systemd: bool = True
    machine: str = ""
    distribution: str = ""
    family: tuple[str, ...] = ()
    hostname: str = ""
    machine_id: str = ""
    networks: tuple[Mapping[str, str], ...] = ()
    disk: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    memory: int = 0
    swap: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    features: Mapping[str, str] = Field(default_factory=dict)
    programs: tuple[str, ...] = ()
    cgroups: Mapping[str, Any] = Field(default_factory=dict)
    digests: Mapping[str, str | None] = Field(default_factory=dict)
    components: tuple[str, ...] = ()
    versions: Mapping[str, str] = Field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    engines: tuple[str, ...] = ()
    docker_containers: int = 0
    resolvers: tuple[str, ...] = ()
    selinux_off: tuple[str, ...] = ()
    firewalld: tuple[str, ...] | None = None
    answering: tuple[str, ...] = ()
    expired: tuple[Expired, ...] = ()
    registries: Mapping[str, str] = Field(default_factory=dict)
    # What systemd says against a calendar expression; nothing where it takes it.
    calendars: Mapping[str, str] = Field(default_factory=dict)
    flannel: Mapping[str, str] | None = None


class Report(BaseModel):
    """The outcome of asking one host: its facts, or why there are none.

    `clock` is by how many seconds its clock is ahead of the controller's, at the least.
    """

    model_config = ConfigDict(frozen=True)

    facts: Facts | None = None
    clock: float = 0
    failure: str = ""
    unreachable: str = ""


def clock_ahead(before: float, there: float, after: float) -> float:
    """Seconds by which a host's clock is ahead of ours at the least, negative where it is behind.

    The host looked at its clock at some moment between our `before` and `after`: only what lies outside is known.
    """
    return min(there - before, 0.0) + max(there - after, 0.0)
