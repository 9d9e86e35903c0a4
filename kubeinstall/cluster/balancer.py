"""Judges how hosts reach the API: what stands before the control planes, and whether its address is there."""

from __future__ import annotations

from kubeinstall.cluster.inputs import Findings, Inputs

__all__ = ["API_PORT", "BALANCERS", "BALANCER_PORT", "LOCAL", "check_balancer"]

NONE, LOCAL, EXTERNAL = BALANCERS = ("none", "local", "external")
API_PORT = 6443
# On a control plane the API server's own port is taken.
BALANCER_PORT = 7443


def check_balancer(inputs: Inputs, errors: Findings) -> None:
    """cluster_api_server has to be there for one choice of cluster_api_balancer, and means nothing with another."""
    balancer, url = inputs.cluster("cluster_api_balancer"), inputs.cluster("cluster_api_server")
    setters = [host for host in inputs.hosts if "cluster_api_server" in host.values]
    if balancer == LOCAL and setters:
        what = f"cluster_api_server is {url}, and with cluster_api_balancer local no host would use it"
        remedy = "take it out, or set cluster_api_balancer: external"
        errors.add(what, remedy, hosts=setters, name="cluster_api_server")
    elif balancer == EXTERNAL and not setters:
        what = "cluster_api_balancer is external, and nothing says at which address the API is then"
        remedy = "set cluster_api_server to the URL of your balancer, https://NAME:6443"
        choosers = [host for host in inputs.hosts if "cluster_api_balancer" in host.values]
        errors.add(what, remedy, hosts=choosers, name="cluster_api_balancer")
