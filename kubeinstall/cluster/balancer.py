"""Judges how hosts and users reach the API: what stands before the control planes, and at which address."""

from __future__ import annotations

from ipaddress import IPv4Address
from urllib.parse import urlsplit

from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import Findings, Inputs

__all__ = ["API_PORT", "BALANCERS", "BALANCER_PORT", "LOCAL", "check_balancer"]

NONE, LOCAL, EXTERNAL, VIP = BALANCERS = ("none", "local", "external", "vip")
API_PORT = 6443
# On a control plane the API server's own port is taken.
BALANCER_PORT = 7443
SERVER = "cluster_api_server"
WRITE = {
    EXTERNAL: "set cluster_api_server to the URL of your balancer, https://NAME:6443",
    VIP: "set cluster_api_server to https://ADDRESS:6443, a free address of the control planes' network",
}


def check_balancer(inputs: Inputs, errors: Findings) -> None:
    """cluster_api_balancer and cluster_api_server, which has to be there for some of its choices and not for others."""
    balancer, url = inputs.cluster("cluster_api_balancer"), inputs.cluster(SERVER)
    setters = [host for host in inputs.hosts if SERVER in host.values]
    choosers = [host for host in inputs.hosts if "cluster_api_balancer" in host.values]
    if balancer == LOCAL and setters:
        what = f"cluster_api_server is {url}, and with cluster_api_balancer local no host would use it"
        errors.add(what, "take it out, or set cluster_api_balancer: external", hosts=setters, name=SERVER)
    elif balancer in WRITE and not setters:
        what = f"cluster_api_balancer is {balancer}, and nothing says at which address the API is then"
        errors.add(what, WRITE[balancer], hosts=choosers, name="cluster_api_balancer")
    elif balancer == VIP and isinstance(url, str):
        _check_address(url, inputs, errors)


def _check_address(url: str, inputs: Inputs, errors: Findings) -> None:
    """The address that control planes hold in turn: one of theirs, but nobody's own."""
    setters = [host for host in inputs.hosts if SERVER in host.values]
    try:
        parts = urlsplit(url)
        address, port = IPv4Address(parts.hostname or ""), parts.port
    except ValueError:
        what = f"cluster_api_server is {url}, which holds no IPv4 address for control planes to take"
        errors.add(what, WRITE[VIP], hosts=setters, name=SERVER)
        return
    if port != API_PORT:
        what = f"cluster_api_server is {url}, and the API servers listen on port {API_PORT}"
        errors.add(what, f"write it as https://{address}:{API_PORT}", hosts=setters, name=SERVER)
    for host in inputs.hosts:
        if node_address(host) == str(address):
            what = f"the address {address} of cluster_api_server is its own, and control planes would take it in turn"
            errors.add(what, "choose one that no host has", hosts=[host], name="node_address")
