"""Refuses host names that stand for somebody else in a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from kubeinstall.cluster.applications import CLIENTS
from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, HostInput, Inputs

__all__ = ["SYSTEM", "check_identities"]

# Common names of certificates that the Kubernetes and front proxy CAs issue to services and administrators. Names with
# a colon (system:…, flannel:…) can't be host names.
SYSTEM = (
    "front-proxy-client",
    "kube-apiserver",
    "kube-apiserver-kubelet-client",
    "kubernetes-admin",
    "kubernetes-super-admin",
)
# DNS names by which pods and hosts reach the API server.
API_SERVER = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")


def check_identities(inputs: Inputs, errors: Findings) -> None:
    """etcd knows a member by its host name, and a kubelet's serving certificate is valid for it."""
    for host in inputs.hosts:
        for whose in _owners(inputs, host):
            errors.add(
                f"a host can't be named {host.name}: {whose}", "rename the host", hosts=[host], name="ansible_host"
            )


def _owners(inputs: Inputs, host: HostInput) -> Iterator[str]:
    if host.name in CLIENTS:
        yield "etcd has a user of this name, and the host's certificate would have that user's permissions"
    elif host.name in SYSTEM:
        yield "a service or an administrator of the cluster has a certificate of this name"
    elif host.name in (*API_SERVER, f"{API_SERVER[2]}.{inputs.cluster('cluster_domain')}"):
        yield "this is a name of the API server, whose clients would accept the host's certificate"
    elif (
        host.name in _public_names(inputs)
        and host in inputs.members(NODE)
        and host not in inputs.members(CONTROL_PLANE)
    ):
        yield "users reach the API server by this name, and would accept the node's certificate"


def _public_names(inputs: Inputs) -> set[str | None]:
    extra = inputs.cluster("cluster_certificate_names")
    names: set[str | None] = {name for name in extra if isinstance(name, str)} if isinstance(extra, list) else set()
    try:
        return names | {urlsplit(inputs.cluster("cluster_api_server")).hostname}
    except (AttributeError, TypeError, ValueError):  # reported by check_networks
        return names
