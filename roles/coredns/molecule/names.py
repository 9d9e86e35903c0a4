"""What there is in a cluster that has names, and who asks for them."""

from __future__ import annotations

from typing import Any

from kubeinstall.lab.example_images import BUSYBOX
from tests.lab import Lab

__all__ = ["ASKERS", "addresses_of", "ask", "make", "pods"]

# A pod of the pods' network, and one of its host's.
ASKERS = ["in-a-pod", "on-the-host"]


def _pod(name: str, command: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", command]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "containers": [container],
            # Control planes are nodes, too, with a taint.
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            **spec,
        },
    }


def _service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "member"}, "ports": [{"port": 80}], **spec},
    }


def make(lab: Lab) -> None:
    """Two members behind a Service of each kind, and who asks for them; they stay, and are made only once."""
    serve = "mkdir -p /www; hostname >/www/index.html; exec httpd -f -h /www"
    wait = "exec sleep 2147483647"
    members = ["member-0", "member-1"]
    items = [
        *(_pod(name, serve, {"app": "member"}, hostname=name, subdomain="members") for name in members),
        _service("front"),
        _service("members", clusterIP="None"),
        _pod("in-a-pod", wait, {}),
        _pod("on-the-host", wait, {}, hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"),
    ]
    # For the pod of the host's network, which Pod Security's baseline refuses.
    lab.kubectl("label namespace default --overwrite pod-security.kubernetes.io/enforce=privileged")
    lab.kubectl("apply --server-side --filename=-", {"apiVersion": "v1", "kind": "List", "items": items})
    lab.kubectl("wait pods --all --for=condition=Ready --timeout=60s")


def pods(lab: Lab) -> dict[str, str]:
    """{member: its address}."""
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in lab.objects("pods --selector=app=member")}


def addresses_of(lab: Lab, service: str) -> set[str]:
    """The one address that a Service has."""
    return {lab.kubectl(f"get service {service} --output=jsonpath='{{.spec.clusterIP}}'")}


def ask(lab: Lab, asker: str, name: str, server: str = "") -> set[str]:
    """The addresses of a name, or the names of an address, as a pod is told them by its server, or by a pod of it."""
    options = [] if name.replace(".", "").isdigit() else ["-type=a"]
    # A pod of it listens on another port than its Service.
    options += ["-port=1053"] if server else []
    command = (
        f"kubectl --kubeconfig=/etc/kubernetes/admin.conf exec {asker} -- nslookup {' '.join(options)} {name} {server}"
    )
    said = [line for line in str(lab["control_plane"][0].run(command).stdout).splitlines() if line]
    # The first two say who was asked. A short name is tried with each domain of the list, and is found with one.
    found = {line.split()[-1] for line in said[2:] if line.startswith("Address:") or "name = " in line}
    assert found, f"the cluster's DNS does not tell the pod {asker} of {name}: {said[-1] if said else 'not a word'}"
    return found
