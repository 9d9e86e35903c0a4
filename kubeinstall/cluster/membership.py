"""Judges the listed hosts by what the living cluster says: whom it has let go, and whose address is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import BaseModel, ConfigDict, Field

from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.reports import Report

__all__ = ["Knowledge", "Mark", "check_membership"]


class Mark(BaseModel):
    """A host that was taken out. `machine_id` is empty where it was not known."""

    model_config = ConfigDict(frozen=True)

    name: str
    address: str = ""
    machine_id: str = ""
    at: str = ""


class Knowledge(BaseModel):
    """What the API says: the nodes' addresses and shares of the pods' network, the marks by KIND.NAME.

    hostside/membership.py documents them. `answered`: an API server did, or there is no cluster yet.
    """

    model_config = ConfigDict(frozen=True)

    answered: bool = False

    nodes: Mapping[str, str] = Field(default_factory=dict)
    shares: Mapping[str, str] = Field(default_factory=dict)
    marks: Mapping[str, Mark] = Field(default_factory=dict)
    kubelets: Mapping[str, str] = Field(default_factory=dict)
    api_servers: Mapping[str, str] = Field(default_factory=dict)
    service_cidrs: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    dns_address: str = ""
    settings: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)


def check_membership(
    inputs: Inputs,
    knowledge: Knowledge,
    reports: Mapping[str, Report],
    welcome: Collection[str],
    errors: Findings,
    warnings: Findings,
) -> dict[str, str]:
    """{mark: host} of those hosts that are `welcome`: they come back on purpose. All others are refused."""
    listed = {host.name for host in inputs.hosts}
    owners = {address: name for name, address in knowledge.nodes.items() if address and name not in listed}
    for name in knowledge.nodes:
        if name not in listed and f"node.{name}" in knowledge.marks:
            what = f"{name} was taken out of the cluster and is a node again: its host was switched on as it was"
            warnings.add(what, f"list it and take it out again, now that it answers: kubeinstall node remove {name}")
    welcomed: dict[str, str] = {}
    for host in inputs.hosts:
        if owner := owners.get(node_address(host)):
            errors.add(
                f"its node address {node_address(host)} is that of {owner}, a node of the cluster that is not listed",
                f"give it another; or list {owner} in its place, and take it out: kubeinstall node remove {owner}",
                hosts=[host],
            )
        report = reports.get(host.name)
        machine_id = report.facts.machine_id if report and report.facts else ""
        for key, mark in knowledge.marks.items():
            if what := _same(inputs, host, machine_id, key, mark):
                if host.name in welcome:
                    welcomed[key] = host.name
                else:
                    errors.add(
                        what,
                        f"take it out of the inventory, or bring it back on purpose: {_way_back(inputs, host, key)}",
                        hosts=[host],
                    )
    return welcomed


def _same(inputs: Inputs, host: HostInput, machine_id: str, key: str, mark: Mark) -> str:
    """Why the mark is this host's; empty when it is not."""
    day = f" on {mark.at[:10]}" if mark.at else ""
    if key.startswith("etcd."):
        member = host in inputs.members(ETCD) and host.name == mark.name
        return f"it was taken out of etcd{day}, and is still listed there" if member else ""
    if host.name == mark.name:
        return f"it was taken out of the cluster{day}, and is still listed"
    if machine_id and machine_id == mark.machine_id:
        return f"it is the host that was taken out of the cluster as {mark.name}{day}: it has the same machine-id"
    if mark.address and node_address(host) == mark.address:
        return f"its node address {mark.address} is that of {mark.name}, which was taken out of the cluster{day}"
    return ""


def _way_back(inputs: Inputs, host: HostInput, key: str) -> str:
    if key.startswith("etcd."):
        kind = "etcd"
    elif host in inputs.members(CONTROL_PLANE):
        kind = "control-plane"
    else:
        kind = "node" if host in inputs.members(NODE) else "etcd"
    return f"kubeinstall {kind} add {host.name}"
