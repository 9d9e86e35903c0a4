"""Judges flannel's subnet manager and backend: what hosts can do, and what a change on a living cluster costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.networks import network
from kubeinstall.cluster.reports import Facts, Report

__all__ = ["check_flannel"]

# flannel's own limit: it cuts a network into four shares at least.
FEWEST_BITS = 2
MODULES = {"vxlan": "vxlan", "wireguard": "wireguard", "udp": "tun"}


def check_flannel(
    inputs: Inputs,
    known: Known,
    reports: Mapping[str, Report],
    knowledge: Knowledge,
    errors: Findings,
    warnings: Findings,
) -> None:
    """All that runs pods, by what the inventory wants and what the hosts say."""

    def value(name: str, host: HostInput | None = None) -> Any:
        return (host.values.get(name) if host else inputs.cluster(name)) or known.default(name)

    setting = [host for host in inputs.hosts if host.values.get("flannel_direct_routing") is True]
    odd = [host for host in setting if value("flannel_backend", host) != "vxlan"]
    if odd:
        what = f"flannel_direct_routing is vxlan's, and flannel_backend is {value('flannel_backend', odd[0])}"
        errors.add(what, "take it out, or set flannel_backend: vxlan", hosts=odd, name="flannel_direct_routing")
    manager, backend = value("flannel_subnet_manager"), value("flannel_backend")
    if manager == "etcd":
        _check_shares(inputs, errors)
    there = []
    for host in inputs.members(CONTROL_PLANE, NODE):
        report = reports.get(host.name)
        if report and report.facts and report.facts.root:
            _check_host(host, report.facts, value("flannel_backend", host), errors)
            if report.facts.flannel:
                there.append((host, report.facts.flannel))
    _check_change(there, manager, backend, knowledge, errors, warnings)


def _check_shares(inputs: Inputs, errors: Findings) -> None:
    pods = network(inputs.cluster("cluster_pod_network"))
    prefix = str(inputs.cluster("cluster_pod_network_node_prefix"))
    if pods and prefix.isdecimal() and pods.prefixlen <= int(prefix) < pods.prefixlen + FEWEST_BITS:
        errors.add(
            f"with flannel_subnet_manager etcd the pod network {pods} has to hold four shares, and has room for"
            f" {2 ** (int(prefix) - pods.prefixlen)} of /{prefix}",
            "make cluster_pod_network larger, or cluster_pod_network_node_prefix",
        )


def _check_host(host: HostInput, facts: Facts, backend: str, errors: Findings) -> None:
    module = MODULES.get(backend)
    # vxlan's absence is told with that of the other modules that every cluster needs.
    if module and backend != "vxlan" and not facts.features.get(module):
        what = f"its kernel lacks {module}, which flannel_backend {backend} needs"
        errors.add(what, f"install that module (modprobe {module}), or set flannel_backend: vxlan", hosts=[host])
    if backend == "udp" and facts.machine not in ("x86_64", "amd64"):
        what = f"flannel's backend udp is for amd64 only, and its processor architecture is {facts.machine}"
        errors.add(what, "set flannel_backend: vxlan, on all hosts", hosts=[host])


def _check_change(
    there: Sequence[tuple[HostInput, Mapping[str, str]]],
    manager: str,
    backend: str,
    knowledge: Knowledge,
    errors: Findings,
    warnings: Findings,
) -> None:
    for name, wanted in (("backend", backend), ("manager", manager)):
        others = sorted({found[name] for _, found in there} - {wanted})
        if others:
            variable = "flannel_backend" if name == "backend" else "flannel_subnet_manager"
            warnings.add(
                f"{variable} changes from {', '.join(others)} to {wanted}: while flannel restarts, on one host first"
                " and then on all others together, pods on different hosts do not reach each other for some seconds"
            )
    if manager == "kube":
        for host, found in there:
            share = IPv4Interface(found["share"]).network if found["manager"] == "etcd" and found["share"] else None
            own = network(knowledge.shares.get(host.name, ""))
            if share and own and share != own:
                errors.add(
                    f"its pods have addresses of {share}, which flannel took in etcd, and the API gives it {own}: with"
                    " flannel_subnet_manager kube they would be cut off",
                    f"let it begin anew first: kubeinstall node remove {host.name}, then node add {host.name}",
                    hosts=[host],
                )
