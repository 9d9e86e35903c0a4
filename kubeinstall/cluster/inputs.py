"""What was read from an inventory, before it is judged, and the collector of what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kubeinstall.errors import Problem

__all__ = ["CONNECTION", "CONTROL_PLANE", "ETCD", "GROUPS", "NODE", "Findings", "HostInput", "Inputs"]

ETCD, CONTROL_PLANE, NODE = GROUPS = ("etcd", "control_plane", "node")
# Variables of Ansible's that say how a host is reached.
CONNECTION = (
    "ansible_become",
    "ansible_become_method",
    "ansible_connection",
    "ansible_host",
    "ansible_port",
    "ansible_ssh_common_args",
    "ansible_ssh_private_key_file",
    "ansible_user",
)


class HostInput(BaseModel):
    """One host of ours: `values` holds the variables of interest, templated; `names` all that the user set.

    `failures` says of a variable why its template gives nothing; `places` where a variable is set (FILE:LINE).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    values: Mapping[str, Any] = Field(default_factory=dict)
    names: frozenset[str] = frozenset()
    failures: Mapping[str, str] = Field(default_factory=dict)
    places: Mapping[str, str] = Field(default_factory=dict)


class Inputs(BaseModel):
    """An inventory: our hosts, the members of all its groups, and the rendered defaults (cluster_…).

    `said` is what Ansible found odd while reading it. `shared_directory`: other inventories are in its folder too.
    """

    model_config = ConfigDict(frozen=True)

    directory: Path
    groups: Mapping[str, tuple[str, ...]]
    hosts: tuple[HostInput, ...]
    defaults: Mapping[str, Any] = Field(default_factory=dict)
    said: tuple[str, ...] = ()
    shared_directory: bool = False

    def members(self, *groups: str) -> tuple[HostInput, ...]:
        """The hosts of these groups, each once, in the inventory's order of the groups."""
        by_name = {host.name: host for host in self.hosts}
        names = dict.fromkeys(name for group in groups for name in self.groups.get(group, ()))
        return tuple(by_name[name] for name in names)

    def cluster(self, name: str) -> Any:
        """A cluster-wide variable: as the first host that sets it has it, else its default."""
        for host in self.hosts:
            if name in host.values:
                return host.values[name]
        return self.defaults.get(name)


class Findings:
    """Collects problems. The same one on several hosts becomes one, which names them."""

    def __init__(self, inputs: Inputs) -> None:
        self._all = {host.name for host in inputs.hosts}
        self._found: dict[tuple[str, str, str], dict[str, None]] = {}

    def add(self, what: str, remedy: str = "", *, hosts: Iterable[HostInput] = (), name: str = "") -> None:
        """`name` is the variable in question: the place where each host has it from is said with it."""
        for host in hosts:
            self._found.setdefault((host.places.get(name, ""), what, remedy), {})[host.name] = None
        if not hosts:
            self._found.setdefault(("", what, remedy), {})

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(", ".join(part for part in (self._hosts(tuple(hosts), place), place) if part), what, remedy)
            for (place, what, remedy), hosts in self._found.items()
        )

    def _hosts(self, names: tuple[str, ...], place: str) -> str:
        if set(names) == self._all and len(names) > (1 if place else 4):
            return "all hosts"
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
