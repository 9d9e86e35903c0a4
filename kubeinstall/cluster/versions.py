"""Checks the versions that the inventory asks for: against each other, and against what runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.reports import Report
from kubeinstall.components.catalogue import Catalogue
from kubeinstall.components.support import minor, numbers, refused_step, unsupported

__all__ = ["check_versions"]

KUBERNETES, ETCD_VERSION = "cluster_kubernetes_version", "etcd_version"
CONTAINERD_VERSION = "container_engine_containerd_version"
# Components with data that an older version does not read, upgraded one minor version at a time.
STEPWISE = {KUBERNETES: "Kubernetes", ETCD_VERSION: "etcd"}
API_SERVER = "kube-apiserver"
# None of them may be newer than any API server (https://kubernetes.io/releases/version-skew-policy/).
FOLLOWERS = {
    "kubelet": (CONTROL_PLANE, NODE),
    "kube-proxy": (CONTROL_PLANE, NODE),
    "kube-controller-manager": (CONTROL_PLANE,),
    "kube-scheduler": (CONTROL_PLANE,),
}
# By how many minor versions a kubelet may be older than an API server.
KUBELET_SKEW = 3


def check_versions(
    inputs: Inputs,
    known: Known,
    reports: Mapping[str, Report],
    knowledge: Knowledge,
    roles: Collection[str],
    errors: Findings,
) -> None:
    """`roles`: those that the run is limited to, empty for a whole run. An unknown version was refused before."""
    installed = {name: report.facts.versions for name, report in reports.items() if report.facts}
    check = _Check(inputs, known, installed, knowledge, roles, errors)
    check.pairs()
    check.steps()
    if servers := check.api_servers():
        check.followers(servers)
        check.kubelets()


@dataclass(frozen=True)
class _Check:
    """`installed`: the versions of the programs on each host of this run."""

    inputs: Inputs
    known: Known
    installed: Mapping[str, Mapping[str, str]]
    knowledge: Knowledge
    roles: Collection[str]
    errors: Findings

    @property
    def kubernetes(self) -> str:
        """What the inventory asks for."""
        return str(self.inputs.cluster(KUBERNETES))

    def pairs(self) -> None:
        """What upstream does not support together."""
        nodes = self.inputs.members(CONTROL_PLANE, NODE)
        containerd = [host for host in nodes if self._value(host, "container_engine") != "docker"]
        for component, variable, hosts in (
            ("etcd", ETCD_VERSION, self.inputs.members(ETCD)),
            ("containerd", CONTAINERD_VERSION, containerd),
        ):
            for host in hosts:
                version = self._value(host, variable)
                if supported := unsupported(self.kubernetes, component, version):
                    what = f"Kubernetes {self.kubernetes} does not support {component} {version}"
                    self.errors.add(what, f"set {variable} to one of {supported}", hosts=[host], name=variable)

    def steps(self) -> None:
        """Downgrades and skipped minor versions, on the hosts of this run and of the API servers that it leaves out."""
        seen = set()
        for host in self.inputs.hosts:
            programs = self.installed.get(host.name, {})
            for variable, component in STEPWISE.items():
                after = self.kubernetes if variable == KUBERNETES else self._value(host, variable)
                files = Catalogue.load().files(component.lower())
                for before in dict.fromkeys(programs[file] for file in files if file in programs):
                    seen.add(before)
                    self._step(variable, before, after, [host])
        for before in dict.fromkeys(filter(numbers, self.knowledge.api_servers.values())):
            if before not in seen:
                self._step(KUBERNETES, before, self.kubernetes, self._setting(KUBERNETES))

    def _step(self, variable: str, before: str, after: str, hosts: Sequence[HostInput]) -> None:
        there = f"{variable} is {after}, and {STEPWISE[variable]} {before} is installed"
        if numbers(before) is None:
            what = f"{STEPWISE[variable]} is recorded with the version {before[:40]!r}, which can't be compared"
            self.errors.add(what, "restore the records in /var/lib/kubeinstall on the host", hosts=hosts)
        elif (refused := refused_step(before, after)) == "downgrade":
            what = f"{there}: a downgrade is not supported"
            self.errors.add(what, f"set {variable} to {before} or later", hosts=hosts, name=variable)
        elif refused == "skip":
            what = f"{there}: upgrades go one minor version at a time"
            self.errors.add(what, f"apply {_next(variable, before)} first", hosts=hosts, name=variable)

    def api_servers(self) -> dict[str, str]:
        """{host or address: version, "" if unknown} of those that run; without an API, of those that are installed."""
        names = {node_address(host): host.name for host in self.inputs.members(CONTROL_PLANE)}
        running = {names.get(address, address): version for address, version in self.knowledge.api_servers.items()}
        return running or {name: there[API_SERVER] for name, there in self.installed.items() if API_SERVER in there}

    def followers(self, servers: Mapping[str, str]) -> None:
        """Nothing that this run installs is newer than an API server that it leaves as it is."""
        upgraded = self.installed.keys() if self._runs(API_SERVER) else ()
        older = [
            f"{version or 'of an unknown version'} on {name}"
            for name, version in servers.items()
            if name not in upgraded and _older(version, self.kubernetes)
        ]
        for program, groups in FOLLOWERS.items() if older else ():
            hosts = [
                host
                for host in self.inputs.members(*groups)
                if self._runs(program) and _older(self.installed.get(host.name, {}).get(program, ""), self.kubernetes)
            ]
            if hosts := [host for host in hosts if host.name in self.installed]:
                what = f"{program} {self.kubernetes} would be newer than kube-apiserver, which is {', '.join(older)}"
                self.errors.add(what, "upgrade all API servers first: kubeinstall run kube_apiserver", hosts=hosts)

    def kubelets(self) -> None:
        """Those that this run leaves as they are, and that are too old for its API servers."""
        upgraded = self.installed.keys() if self._runs("kubelet") else ()
        new = numbers(self.kubernetes)
        for name, version in self.knowledge.kubelets.items() if self._runs(API_SERVER) else ():
            old = numbers(version)
            if new and old and name not in upgraded and new[1] - old[1] > KUBELET_SKEW:
                what = f"kubelet {version} on {name} is too old for kube-apiserver {self.kubernetes}"
                self.errors.add(what, f"upgrade it first: it may be {KUBELET_SKEW} minor versions older")

    def _runs(self, program: str) -> bool:
        return not self.roles or program.replace("-", "_") in self.roles

    def _value(self, host: HostInput, name: str) -> str:
        return str(host.values.get(name, self.known.default(name)))

    def _setting(self, name: str) -> list[HostInput]:
        return [host for host in self.inputs.hosts if name in host.values]


def _next(variable: str, before: str) -> str:
    """The newest known patch release of the minor version after this one."""
    major, minor_, _ = numbers(before) or (0, 0, 0)
    after = f"{major}.{minor_ + 1}"
    known = [one for one in Catalogue.load().versions(STEPWISE[variable].lower()) if minor(one) == after]
    return known[0] if known else f"a version {after}"


def _older(version: str, wanted: str) -> bool:
    """By its minor version; one that is not known may be."""
    old, new = numbers(version), numbers(wanted)
    return bool(new and (old is None or old[:2] < new[:2]))
