"""The forms of what a host is and has, as hostside/probe.py answers."""

from __future__ import annotations

from typing import Dict, List, Literal, NamedTuple, Optional


class Port(NamedTuple):
    port: int
    address: str
    pid: Optional[int]
    process: str
    unit: str
    ours: bool


class Network(NamedTuple):
    link: str
    address: str


class Disk(NamedTuple):
    free: int
    device: int


class ControlGroups(NamedTuple):
    version: int
    controllers: List[str]


class Flannel(NamedTuple):
    backend: str
    manager: str
    share: str


class Expired(NamedTuple):
    path: str
    until: float


class Facts(NamedTuple):
    """For root; hostside/probe.py explains them."""

    time: float
    python: str
    user: str
    root: Literal[True]
    systemd: bool
    machine: str
    distribution: str
    family: List[str]
    hostname: str
    machine_id: str
    networks: List[Network]
    disk: Dict[str, Disk]
    memory: int
    swap: List[str]
    ports: List[Port]
    features: Dict[str, str]
    programs: List[str]
    cgroups: ControlGroups
    digests: Dict[str, Optional[str]]
    components: List[str]
    versions: Dict[str, str]
    settings: Dict[str, Dict[str, str]]
    engines: List[str]
    docker_containers: int
    resolvers: List[str]
    selinux_off: List[str]
    firewalld: Optional[List[str]]
    answering: List[str]
    expired: List[Expired]
    registries: Dict[str, str]
    calendars: Dict[str, str]
    flannel: Optional[Flannel]


class Unprivileged(NamedTuple):
    """For anybody else, who would see half of the rest."""

    time: float
    python: str
    user: str
    root: Literal[False]
