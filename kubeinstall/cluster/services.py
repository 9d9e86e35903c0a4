"""The services that a host runs, by its groups, its container runtime and the way by which hosts reach the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kubeinstall.cluster.balancer import LOCAL, VIP
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE

if TYPE_CHECKING:
    from kubeinstall.cluster.model import Host

__all__ = ["services"]

# In the order in which they depend on each other.
_NODE = ("container-engine", "docker", "cri-dockerd", "api-balancer", "kubelet", "kube-proxy", "flannel")
_SERVICES: Mapping[str, tuple[str, ...]] = {
    ETCD: ("etcd",),
    CONTROL_PLANE: ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "api-vip", *_NODE),
    NODE: _NODE,
}
# Those that run only where hosts reach the API so.
_OF_BALANCER = {"api-balancer": LOCAL, "api-vip": VIP}
# Those of one container engine, by its name in the inventory.
_OF_ENGINE = {"container-engine": "containerd", "docker": "docker", "cri-dockerd": "docker"}
_COLUMNS = tuple(dict.fromkeys(name for group in (ETCD, CONTROL_PLANE, NODE) for name in _SERVICES[group]))


def services(host: Host, balancer: str = "none") -> tuple[str, ...]:
    """The services that this host should run, in a cluster whose hosts reach the API so."""
    wanted = {name for group in host.groups for name in _SERVICES.get(group, ())}
    engine = host.container_engine
    return tuple(
        name
        for name in _COLUMNS
        if name in wanted and _OF_BALANCER.get(name, balancer) == balancer and _OF_ENGINE.get(name, engine) == engine
    )
