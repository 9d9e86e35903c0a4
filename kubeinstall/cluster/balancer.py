"""Judges how hosts reach the API: what stands before the control planes, and whether its address is there."""

from __future__ import annotations

from ipaddress import IPv4Address
from urllib.parse import urlsplit

from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import Findings, Inputs

__all__ = ["API_PORT", "BALANCERS", "BALANCER_PORT", "LOCAL", "VIP", "check_balancer", "virtual_address"]

NONE, LOCAL, VIP, EXTERNAL = BALANCERS = ("none", "local", "vip", "external")
API_PORT = 6443
# On a control plane the API server's own port is taken.
BALANCER_PORT = 7443
ADDRESS_OF = {
    VIP: "set cluster_api_server to an address of their network that is nobody's: https://ADDRESS:6443",
    EXTERNAL: "set cluster_api_server to the URL of your balancer, https://NAME:6443",
}


def check_balancer(inputs: Inputs, errors: Findings) -> None:
    """cluster_api_server has to be there for two choices of cluster_api_balancer, and means nothing with another."""
    balancer, url = inputs.cluster("cluster_api_balancer"), inputs.cluster("cluster_api_server")
    setters = [host for host in inputs.hosts if "cluster_api_server" in host.values]
    if balancer == LOCAL and setters:
        what = f"cluster_api_server is {url}, and with cluster_api_balancer local no host would use it"
        remedy = "take it out, or set cluster_api_balancer: external"
        errors.add(what, remedy, hosts=setters, name="cluster_api_server")
    elif balancer in ADDRESS_OF and not setters:
        what = f"cluster_api_balancer is {balancer}, and nothing says at which address the API is then"
        choosers = [host for host in inputs.hosts if "cluster_api_balancer" in host.values]
        errors.add(what, ADDRESS_OF[balancer], hosts=choosers, name="cluster_api_balancer")
    elif balancer == VIP:
        address = virtual_address(inputs)
        if address is None:
            what = f"cluster_api_server is {url}, and with cluster_api_balancer vip it is an address at port {API_PORT}"
            errors.add(what, f"write it as https://192.0.2.10:{API_PORT}", hosts=setters, name="cluster_api_server")
        for host in inputs.hosts:
            if address and str(address) == node_address(host):
                what = f"cluster_api_server is its own address {address}, which cannot move to another host"
                errors.add(what, "choose an address that is nobody's", hosts=[host])


def virtual_address(inputs: Inputs) -> IPv4Address | None:
    """The address that the control planes hold in turn; None where there is none, or nothing that could be one."""
    if inputs.cluster("cluster_api_balancer") != VIP:
        return None
    try:
        url = urlsplit(inputs.cluster("cluster_api_server"))
        return IPv4Address(url.hostname or "") if url.port == API_PORT else None
    except (AttributeError, TypeError, ValueError):
        return None
