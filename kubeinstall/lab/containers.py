"""Containers and networks as the lab speaks of them: plain data, whatever the engine's SDK calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Container", "ContainerSpec", "Network"]


@dataclass(frozen=True)
class ContainerSpec:
    """What a container is made of. `anonymous_volumes` and `tmpfs` are paths inside it."""

    name: str
    image: str
    network: str
    address: str
    labels: Mapping[str, str]
    entrypoint: Sequence[str] = ()
    anonymous_volumes: Sequence[str] = ()
    binds: Sequence[str] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    privileged: bool = False
    cap_add: Sequence[str] = ()
    cap_drop: Sequence[str] = ()
    security_opt: Sequence[str] = ()
    unmasked: bool = False
    stop_signal: str = "SIGTERM"
    restart_on_failure: bool = False


@dataclass(frozen=True)
class Container:
    """One container as the engine reports it; `address` is the one it has, or is to have once it runs."""

    name: str
    state: str
    address: str
    image: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Network:
    """One of the engine's networks, with its IPv4 subnets as text (`10.88.0.0/24`)."""

    name: str
    subnets: tuple[str, ...]
    labels: Mapping[str, str]
