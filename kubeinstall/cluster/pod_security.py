"""Checks the Pod Security settings; their keys and levels are checked with the types of all variables."""

from __future__ import annotations

from kubeinstall.cluster.hosts import LABEL
from kubeinstall.cluster.inputs import CONTROL_PLANE, Findings, Inputs

__all__ = ["check_pod_security"]

NAME = "kube_apiserver_pod_security"


def check_pod_security(inputs: Inputs, errors: Findings) -> None:
    """An API server with an invalid namespace does not start, and all API servers have to decide alike."""
    control_planes = inputs.members(CONTROL_PLANE)
    for host in control_planes:
        settings = host.values.get(NAME)
        namespaces = settings.get("exempt_namespaces") if isinstance(settings, dict) else None
        for namespace in namespaces if isinstance(namespaces, list) else ():
            if not LABEL.fullmatch(str(namespace)):
                errors.add(
                    f"exempt_namespaces of {NAME} has {namespace!r}, which is not a namespace name",
                    "lowercase letters, digits and -, at most 63 characters",
                    hosts=[host],
                    name=NAME,
                )
    if len({repr(host.values.get(NAME, {})) for host in control_planes}) > 1:
        errors.add(
            f"{NAME} differs between control planes",
            "set it once, for the group control_plane or in group_vars/all",
            hosts=control_planes,
        )
