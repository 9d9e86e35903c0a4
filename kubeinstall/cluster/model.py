"""The cluster that an inventory describes: one frozen model, and every error in it at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kubeinstall.cluster.applications import APPLICATIONS, check_applications
from kubeinstall.cluster.arguments import Program, check_arguments
from kubeinstall.cluster.balancer import API_PORT, check_balancer
from kubeinstall.cluster.configuration import check_configuration
from kubeinstall.cluster.expired import check_expired
from kubeinstall.cluster.facts import check_facts
from kubeinstall.cluster.files import check_manifests, check_writers
from kubeinstall.cluster.flannel import check_flannel
from kubeinstall.cluster.hosts import check_hosts, node_address, taints
from kubeinstall.cluster.identities import check_identities
from kubeinstall.cluster.immutable import check_immutable
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE, Findings, Inputs
from kubeinstall.cluster.known import Known, known_inputs
from kubeinstall.cluster.membership import Knowledge, check_membership
from kubeinstall.cluster.networks import check_networks
from kubeinstall.cluster.pod_security import check_pod_security
from kubeinstall.cluster.registries import check_answers, check_registries
from kubeinstall.cluster.reports import Report
from kubeinstall.cluster.schedule import check_schedule
from kubeinstall.cluster.variable_files import check_variable_files
from kubeinstall.cluster.variables import check_variables
from kubeinstall.cluster.versions import check_versions
from kubeinstall.errors import InputError, PKIError, Problem
from kubeinstall.pki import PKI

__all__ = ["Cluster", "Host", "Taint"]


class Taint(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: str
    value: str = ""
    effect: str


class Host(BaseModel):
    """One host. `name` is its hostname and node name, `address` its IPv4 node address.

    `variables` holds what the inventory sets of kubeinstall's and of Ansible's connection variables, templated.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    address: str
    groups: tuple[str, ...]
    container_engine: str
    labels: Mapping[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    variables: Mapping[str, Any] = Field(default_factory=dict)


class Cluster(BaseModel):
    """A cluster that can be built. `warnings` are what is odd about it; `inventory` is the inventory's directory.

    `welcomed` are hosts that were taken out once and come back on purpose, by their marks. `unchecked` are programs
    whose extra arguments were not checked, since the component cache lacks them.
    """

    model_config = ConfigDict(frozen=True)

    inventory: Path
    name: str
    domain: str
    kubernetes_version: str
    pod_network: IPv4Network
    service_network: IPv4Network
    api_balancer: str
    api_server: str
    pki_directory: Path
    state_directory: Path
    hosts: tuple[Host, ...]
    warnings: tuple[Problem, ...] = ()
    welcomed: Mapping[str, str] = Field(default_factory=dict)
    unchecked: frozenset[Program] = frozenset()

    @classmethod
    def load(cls, inventory: Path | str) -> Cluster:
        """Reads an inventory (a file or a directory) in process. Raises InputError with every problem there is."""
        from kubeinstall.cluster.inventory import load

        known = known_inputs()
        return cls.from_inputs(load(Path(inventory), known), known)

    @classmethod
    def from_hostvars(
        cls,
        groups: Mapping[str, Sequence[str]],
        hostvars: Mapping[str, Mapping[str, Any]],
        inventory: Path,
        reports: Mapping[str, Report] | None = None,
        knowledge: Knowledge | None = None,
        welcome: Collection[str] = (),
        roles: Collection[str] = (),
    ) -> Cluster:
        """From variables that are at hand, by host, as `inventory.host_variables` makes them.

        `inventory` is its file or directory; `reports` is what hosts said of themselves and `knowledge` what the living
        cluster says of its hosts, judged with the rest. The `welcome` hosts may come back after they were taken out.
        The run is limited to `roles`; empty for a whole run.
        """
        from kubeinstall.cluster.inventory import gather

        known = known_inputs()
        inputs = gather(groups, hostvars, known, inventory)
        return cls.from_inputs(inputs, known, reports or {}, knowledge, welcome, roles)

    @classmethod
    def from_inputs(
        cls,
        inputs: Inputs,
        known: Known,
        reports: Mapping[str, Report] = MappingProxyType({}),
        knowledge: Knowledge | None = None,
        welcome: Collection[str] = (),
        roles: Collection[str] = (),
    ) -> Cluster:
        """Judges what was read. Raises InputError with every problem there is."""
        errors, warnings = Findings(inputs), Findings(inputs)
        for said in inputs.said:
            warnings.add(said)
        check_variable_files(inputs, errors, warnings)
        check_variables(inputs, known, errors, warnings)
        formed = _formed(inputs, errors)
        check_hosts(inputs, formed, errors, warnings)
        check_identities(inputs, errors)
        check_networks(inputs, errors, warnings)
        check_balancer(inputs, errors)
        check_applications(inputs, errors)
        check_manifests(inputs, errors)
        check_registries(inputs, errors)
        check_pod_security(inputs, errors)
        check_configuration(inputs, errors)
        unchecked = check_arguments(inputs, known, errors, warnings)
        check_schedule(inputs, reports, errors)
        check_writers(inputs, warnings)
        check_facts(inputs, known, reports, formed, errors)
        if reports and formed:
            check_immutable(inputs, reports, knowledge or Knowledge(), errors, warnings)
        check_versions(inputs, known, reports, knowledge or Knowledge(), roles, errors)
        check_expired(inputs, reports, warnings)
        check_answers(inputs, reports, errors, warnings)
        check_flannel(inputs, known, reports, knowledge or Knowledge(), errors, warnings)
        welcomed = check_membership(inputs, knowledge or Knowledge(), reports, welcome, errors, warnings)
        if problems := errors.problems():
            raise InputError(_headline(problems), problems=problems)
        return cls._of(inputs, known, warnings.problems(), welcomed, unchecked)

    @classmethod
    def _of(
        cls,
        inputs: Inputs,
        known: Known,
        warnings: tuple[Problem, ...],
        welcomed: Mapping[str, str],
        unchecked: frozenset[Program],
    ) -> Cluster:
        return cls(
            inventory=inputs.directory,
            name=inputs.cluster("cluster_name"),
            domain=inputs.cluster("cluster_domain"),
            kubernetes_version=str(inputs.cluster("cluster_kubernetes_version")),
            pod_network=IPv4Network(inputs.cluster("cluster_pod_network")),
            service_network=IPv4Network(inputs.cluster("cluster_service_network")),
            api_balancer=inputs.cluster("cluster_api_balancer"),
            api_server=inputs.cluster("cluster_api_server"),
            pki_directory=Path(inputs.cluster("cluster_pki_directory")),
            state_directory=inputs.directory / ".kubeinstall",
            hosts=tuple(
                Host(
                    name=host.name,
                    address=node_address(host),
                    groups=tuple(
                        group for group in (ETCD, CONTROL_PLANE, NODE) if host.name in inputs.groups.get(group, ())
                    ),
                    container_engine=host.values.get("container_engine", known.default("container_engine")),
                    labels=host.values.get("node_labels", {}),
                    taints=tuple(Taint.model_validate(taint) for taint in taints(host, inputs)),
                    variables=host.values,
                )
                for host in inputs.hosts
            ),
            warnings=warnings,
            welcomed=welcomed,
            unchecked=unchecked,
        )

    @property
    def etcd(self) -> tuple[Host, ...]:
        return self._in(ETCD)

    @property
    def control_plane(self) -> tuple[Host, ...]:
        return self._in(CONTROL_PLANE)

    @property
    def nodes(self) -> tuple[Host, ...]:
        """All that run pods: the control planes, then the nodes."""
        return self.control_plane + tuple(host for host in self._in(NODE) if CONTROL_PLANE not in host.groups)

    @property
    def applications(self) -> dict[str, str]:
        """The prefixes of applications' own keys in etcd, by name."""
        said: Mapping[str, Any] = next(
            (host.variables[APPLICATIONS] for host in self.hosts if APPLICATIONS in host.variables), {}
        )
        return {name: one["prefix"] for name, one in said.items()}

    @property
    def api_servers(self) -> tuple[str, ...]:
        """URLs by which a user reaches the API, the first choice first: the control planes' own, or what stands before
        them.
        """
        own = tuple(f"https://{host.address}:{API_PORT}" for host in self.control_plane)
        return tuple(dict.fromkeys((self.api_server, *own))) if self.api_server in own else (self.api_server,)

    def _in(self, group: str) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if group in host.groups)


def _formed(inputs: Inputs, errors: Findings) -> bool:
    directory = inputs.cluster("cluster_pki_directory")
    if not isinstance(directory, str) or "{{" in directory:
        return False
    try:
        pki = PKI(Path(directory))
        pki.check()
        return pki.formed is not None
    except PKIError as error:
        errors.add(str(error))
        return False


def _headline(problems: Sequence[Problem]) -> str:
    """What an InputError says by itself, where nobody looks at its problems."""
    if len(problems) == 1:
        return str(problems[0])
    return "\n".join([f"{len(problems)} things are in the way:", *(f"- {problem}" for problem in problems)])
