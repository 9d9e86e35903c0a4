"""Pods as the API server's admission judges them, without any node to run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import Lab

__all__ = ["VIOLATIONS", "create", "pod", "service_accounts"]

CONTAINER = {"name": "main", "image": "none"}
# What a pod has that the level baseline forbids.
VIOLATIONS: dict[str, dict[str, Any]] = {
    "privileged": {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
    "hostPath": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
    "hostNetwork": {"hostNetwork": True},
    "hostPID": {"hostPID": True},
}


def pod(name: str = "judged", **spec: Any) -> dict[str, Any]:
    spec = {"containers": [CONTAINER], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def create(lab: Lab, namespace: str, manifest: dict[str, Any]) -> str:
    """The warnings that a client is shown; fails with what the API server says where it refuses. Nothing is kept."""
    command = f"kubectl --kubeconfig=/etc/kubernetes/admin.conf create --dry-run=server --namespace={namespace}"
    done = lab["control_plane"][0].run(f"{command} --filename=- <<'EOF'\n{json.dumps(manifest)}\nEOF")
    assert done.rc == 0, done.stderr
    return str(done.stderr)


@contextmanager
def service_accounts(lab: Lab, *namespaces: str) -> Iterator[None]:
    """Each namespace's account `default`, which no controller makes here."""
    for namespace in namespaces:
        lab.kubectl(f"delete serviceaccount default --namespace={namespace} --ignore-not-found")
        lab.kubectl(f"create serviceaccount default --namespace={namespace}")
    try:
        yield
    finally:
        for namespace in namespaces:
            lab.kubectl(f"delete serviceaccount default --namespace={namespace}")
