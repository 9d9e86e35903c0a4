"""Settings that a cluster keeps for life: compared with what its API and its hosts have, before any host is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.networks import ADDITIONAL, additional_service_networks, network
from kubeinstall.cluster.reports import Report

__all__ = ["check_immutable"]

APISERVER, MANAGER = "kube-apiserver", "kube-controller-manager"
# The service account issuer of roles/kube_apiserver, without the domain.
ISSUER = "https://kubernetes.default.svc."
PRIMARY = "kubernetes"
PREFIX = "/registry"
SHOWN = 3


def check_immutable(
    inputs: Inputs, reports: Mapping[str, Report], knowledge: Knowledge, errors: Findings, warnings: Findings
) -> None:
    """Of a cluster that is bootstrapped. The API's objects come first, then what its services have been ready with."""
    there = _There(inputs, reports, knowledge)
    _check_answers(there, errors)
    _check_pod_cidr(there, errors)
    _check_node_prefix(there, errors)
    _check_service_cidr(there, errors)
    _check_domain(there, errors)
    _check_etcd_prefix(there, errors)
    _check_etcd_addresses(there, errors)
    _check_additional(there, warnings)
    _check_name(there, warnings)


@dataclass(frozen=True)
class _There:
    """What the inventory asks for, and what there is."""

    inputs: Inputs
    reports: Mapping[str, Report]
    knowledge: Knowledge

    def settings(self) -> Iterator[Mapping[str, Mapping[str, str]]]:
        """Of the control plane that answered, then of all hosts that were asked."""
        yield self.knowledge.settings
        for host in self.inputs.hosts:
            yield self.of(host)

    def of(self, host: HostInput) -> Mapping[str, Mapping[str, str]]:
        report = self.reports.get(host.name)
        return report.facts.settings if report and report.facts else {}

    def values(self, *sources: tuple[str, str]) -> list[str]:
        """Every value that the services have for a setting: (component, flag)."""
        found = (one.get(component, {}).get(flag) for one in self.settings() for component, flag in sources)
        return list(dict.fromkeys(value for value in found if value))

    @property
    def pod_cidrs(self) -> dict[str, IPv4Network]:
        """Those of the nodes."""
        found = {name: network(share) for name, share in self.knowledge.shares.items()}
        return {name: share for name, share in found.items() if share}


def _check_answers(there: _There, errors: Findings) -> None:
    """A host that was not asked may be a control plane of a living cluster, whose settings nobody has compared."""
    if there.knowledge.answered:
        return
    running = {host.name for host in there.inputs.members(CONTROL_PLANE, NODE)} & there.reports.keys()
    missing = [host.name for host in there.inputs.members(CONTROL_PLANE) if host.name not in there.reports]
    if running and missing and not there.values((APISERVER, "service-cluster-ip-range")):
        what = "no API server answered, so the cluster's networks and versions can't be compared with the inventory"
        names = ", ".join(missing)
        errors.add(what, f"start the API servers first, or run without --limit, so that {names} can be asked")


def _check_pod_cidr(there: _There, errors: Findings) -> None:
    name = "cluster_pod_network"
    wanted, nodes = network(there.inputs.cluster(name)), there.pod_cidrs
    if wanted is None:
        return
    sources = ((MANAGER, "cluster-cidr"), ("flannel", "Network"))
    found = [one for one in map(network, there.values(*sources)) if one]
    # A change that went half-way may have left its value on hosts: nodes outside of it tell.
    found = [one for one in found if all(share.subnet_of(one) for share in nodes.values())]
    outside = [f"{node} has {share}" for node, share in nodes.items() if not share.subnet_of(wanted)]
    if not outside and (not found or wanted in found):
        return
    why = f": {', '.join(outside[:SHOWN])}" if outside else ""
    more = f" and {len(outside) - SHOWN} more nodes" if len(outside) > SHOWN else ""
    remedy = f"set it to {found[0]}" if found else "set it to the one that the cluster was installed with"
    what = (
        f"{name} is {wanted}, and the cluster's pod CIDR {f'is {found[0]}' if found else 'is another one'}{why}{more}"
    )
    _add(there, errors, name, f"{what}; nodes keep their pod CIDRs", remedy)


def _check_node_prefix(there: _There, errors: Findings) -> None:
    name = "cluster_pod_network_node_prefix"
    wanted = str(there.inputs.cluster(name))
    found = list(dict.fromkeys(str(share.prefixlen) for share in there.pod_cidrs.values()))
    found = found or there.values((MANAGER, "node-cidr-mask-size"))
    if found and wanted not in found:
        what = f"{name} is {wanted}, and the nodes have pod CIDRs of /{found[0]}, which they keep"
        _add(there, errors, name, what, f"set it to {found[0]}")


def _check_service_cidr(there: _There, errors: Findings) -> None:
    name = "cluster_service_network"
    wanted = network(there.inputs.cluster(name))
    sources = ((APISERVER, "service-cluster-ip-range"), (MANAGER, "service-cluster-ip-range"))
    primary = list(there.knowledge.service_cidrs.get(PRIMARY, ())[:1]) or there.values(*sources)
    found = [one for one in map(network, primary) if one]
    if address := there.knowledge.dns_address:
        # As above: the address of a Service is for life, too.
        found = [one for one in found if IPv4Address(address) in one] or found
    if wanted and found and wanted not in found:
        what = f"{name} is {wanted}, and the cluster's service CIDR is {found[0]}; Services keep their addresses"
        remedy = f"set it to {found[0]}; for more addresses: {ADDITIONAL}"
        _add(there, errors, name, what, remedy)


def _check_additional(there: _There, warnings: Findings) -> None:
    """A ServiceCIDR that a run has made, and that is not listed any more."""
    listed = {str(one) for one in additional_service_networks(there.inputs)}
    for name, cidrs in there.knowledge.service_cidrs.items():
        if name.startswith("kubeinstall-") and not set(cidrs) <= listed:
            what = f"ServiceCIDR {name} is not in {ADDITIONAL}, and the cluster still uses it"
            warnings.add(what, f"kubectl delete servicecidr {name}; it goes once no Service has an address of it")


def _check_domain(there: _There, errors: Findings) -> None:
    name = "cluster_domain"
    issuers = there.values((APISERVER, "service-account-issuer"))
    found = [one.removeprefix(ISSUER) for one in issuers if one.startswith(ISSUER)]
    found = found or there.values(("kubelet", "clusterDomain"))
    wanted = there.inputs.cluster(name)
    if found and wanted not in found:
        what = (
            f"{name} is {wanted}, and the cluster's domain is {found[0]}; pods keep its search path until they are"
            " recreated, and the API servers would refuse the tokens that it is the issuer of"
        )
        _add(there, errors, name, what, f"set it to {found[0]}")


def _check_etcd_prefix(there: _There, errors: Findings) -> None:
    name = "kube_apiserver_extra_arguments"
    servers = [one[APISERVER] for one in there.settings() if APISERVER in one]
    found = list(dict.fromkeys(one.get("etcd-prefix", PREFIX) for one in servers))
    for host in there.inputs.members(CONTROL_PLANE):
        given = host.values.get(name)
        wanted = str(given.get("etcd-prefix", PREFIX)) if isinstance(given, Mapping) else PREFIX
        if found and wanted not in found:
            what = f"etcd-prefix is {wanted}, and the API servers' objects are under {found[0]} in etcd"
            errors.add(what, f"set etcd-prefix in {name} to {found[0]}", hosts=[host], name=name)


def _check_etcd_addresses(there: _There, errors: Findings) -> None:
    members = there.inputs.members(ETCD)
    for host in members if len(members) > 1 else ():
        url = there.of(host).get("etcd", {}).get("initial-advertise-peer-urls", "")
        found = url.removeprefix("https://").rpartition(":")[0]
        if found and found != node_address(host):
            what = f"its node address is {node_address(host)}, and the other members of etcd reach it at {found}"
            remedy = f"set node_address to {found}; or remove the member and add it again (etcd remove, etcd add)"
            errors.add(what, remedy, hosts=[host], name="node_address")


def _check_name(there: _There, warnings: Findings) -> None:
    name = "cluster_name"
    found, wanted = there.values((MANAGER, "cluster-name")), there.inputs.cluster(name)
    if found and wanted not in found:
        what = (
            f"{name} changes from {found[0]} to {wanted}: the controller managers restart, and kubeconfigs and new"
            " backups have the new name"
        )
        _add(there, warnings, name, what, f"if that is not intended, set it to {found[0]}")


def _add(there: _There, findings: Findings, name: str, what: str, remedy: str) -> None:
    findings.add(what, remedy, hosts=[host for host in there.inputs.hosts if name in host.values], name=name)
