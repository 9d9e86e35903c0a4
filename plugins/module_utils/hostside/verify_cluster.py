"""Starts a pod on every node to try the network from, and takes them away again; run on a control plane.

spec: remove (take away what is there, and nothing else), server, authority, certificate, key, nodes (names), version,
      domain, dns_address, host (this control plane's name), seconds (to wait for the pods), guard (seconds until the
      namespace goes by itself, 0 for never)
Returns {checks: [{check, host, problems, detail}], network: what network_probe.py is told, null where no API answers}.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import Any

from .api import API, APPLY, Document, RefusedError, UnreachableError
from .errors import HostError

NAMESPACE = "kubeinstall-verify"
DAEMON_SET = "answer"
CONTENT = "written"
PORT = 8080
REMOVAL = 30
# Others than kubelet and the controllers have conditions of their own, whose meaning is theirs.
CONDITIONS = {
    "Ready": "True",
    "MemoryPressure": "False",
    "DiskPressure": "False",
    "PIDPressure": "False",
    "NetworkUnavailable": "False",
}
COREFILE = f".:5353 {{\n  health :{PORT} {{\n    lameduck 0s\n  }}\n  whoami\n}}\n"


def main(spec: dict[str, Any]) -> dict[str, Any]:
    access = [spec[name] for name in ("server", "authority", "certificate", "key")]
    try:
        with contextlib.closing(API(*access, patience=5)) as api:
            remove(api)
            if spec["remove"]:
                return {"checks": [], "network": None}
            return verify(api, spec)
    except UnreachableError as error:
        return {"checks": [_check("API server", spec["host"], [str(error)])], "network": None}


def _check(name: str, host: str, problems: list[str], detail: str = "") -> dict[str, Any]:
    return {"check": name, "host": host, "problems": problems, "detail": detail}


def verify(api: API, spec: dict[str, Any]) -> dict[str, Any]:
    token = secrets.token_hex(16)
    # A name of its own each time: the cluster's DNS remembers for a while what the last one's address was.
    name = f"answer-{token[:8]}"
    image, problems = dns_image(api)
    checks = [_check("DNS", spec["host"], problems)] if problems else []
    nodes = {node["metadata"]["name"]: node for node in api.request("GET", "/api/v1/nodes")["items"]}
    checks += [_check("node", name, node_problems(nodes.get(name), spec["version"])) for name in spec["nodes"]]
    if image is None:
        return {"checks": checks, "network": None}
    service = start(api, image, name, token, spec["guard"])
    pods, reasons = wait_for_pods(api, [name for name in spec["nodes"] if name in nodes], spec["seconds"])
    checks += [_check("pods", name, [reason]) for name, reason in reasons.items()]
    kubernetes = api.request("GET", "/api/v1/namespaces/default/services/kubernetes")
    names = {"kubernetes.default": kubernetes["spec"]["clusterIP"], f"{name}.{NAMESPACE}": service["spec"]["clusterIP"]}
    network = {
        "nodes": {name: {"address": address_of(nodes[name]), "pod": pod} for name, pod in pods.items()},
        "cluster_ip": service["spec"]["clusterIP"],
        "node_port": service["spec"]["ports"][0]["nodePort"],
        "port": PORT,
        "dns": {
            "server": spec["dns_address"],
            "names": {f"{name}.svc.{spec['domain']}": address for name, address in names.items()},
        },
        "path": f"/registry/configmaps/{NAMESPACE}/{CONTENT}",
        "token": token,
    }
    return {"checks": checks, "network": network}


def dns_image(api: API) -> tuple[str | None, list[str]]:
    """The image of the cluster's DNS, which is on every node already, and what is wrong with that DNS."""
    found = api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    if found is None:
        return None, ["there is no Deployment kube-system/coredns: run the coredns role"]
    wanted, available = found["spec"]["replicas"], found.get("status", {}).get("availableReplicas", 0)
    problems = [f"{available} of {wanted} CoreDNS pods are available"] if available < wanted else []
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"]), problems


def node_problems(node: Document | None, version: str) -> list[str]:
    if node is None:
        return ["the API knows no node of this name: its kubelet has not registered it"]
    problems = []
    for condition in node["status"].get("conditions", []):
        kind, status = condition["type"], condition["status"]
        if status != CONDITIONS.get(kind, status):
            problems.append(f"the node's condition {kind} is {status}: {condition.get('message')}")
    running = node["status"]["nodeInfo"]["kubeletVersion"]
    if running != f"v{version}":
        problems.append(f"its kubelet is {running}, and should be v{version}")
    return problems


def address_of(node: Document) -> str:
    addresses = {item["type"]: item["address"] for item in node["status"]["addresses"]}
    return str(addresses.get("InternalIP") or addresses["Hostname"])


def start(api: API, image: str, name: str, token: str, guard: float) -> Document:
    """Make the namespace with all that is in it; the Service as it was made."""
    labels = {"app.kubernetes.io/name": DAEMON_SET, "app.kubernetes.io/managed-by": "kubeinstall"}
    made = _apply(api, "/api/v1/namespaces", NAMESPACE, namespace())
    if guard:
        stand_guard(api, str(made["metadata"]["uid"]), guard)
    base = f"/api/v1/namespaces/{NAMESPACE}"
    corefile = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"Corefile": COREFILE, "token": token}}
    _apply(api, f"{base}/configmaps", CONTENT, corefile)
    service = _apply(api, f"{base}/services", name, answering_service(labels))
    _apply(api, f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets", DAEMON_SET, daemon_set(image, labels))
    return service


def _apply(api: API, path: str, name: str, document: Document) -> Document:
    metadata = {**document.get("metadata", {}), "name": name}
    query = "?fieldManager=kubeinstall&force=true"
    return api.request("PATCH", f"{path}/{name}{query}", {**document, "metadata": metadata}, APPLY)


def namespace() -> Document:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/managed-by": "kubeinstall"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels}}


def answering_service(labels: dict[str, str]) -> Document:
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return {"apiVersion": "v1", "kind": "Service", "spec": {"type": "NodePort", "selector": labels, "ports": ports}}


def daemon_set(image: str, labels: dict[str, str]) -> Document:
    container = {
        "name": DAEMON_SET,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}, "limits": {"memory": "100Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            # Upstream's CoreDNS carries this capability in its file, and can't be started where it is not to be had.
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": "corefile", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "tolerations": [{"operator": "Exists"}],
        "dnsPolicy": "Default",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "corefile", "configMap": {"name": CONTENT, "items": [{"key": "Corefile", "path": "Corefile"}]}}
        ],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": spec}


def wait_for_pods(api: API, nodes: list[str], seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """({node: address of its pod} of the pods that are ready, {node: why its is not})."""
    deadline = time.monotonic() + seconds
    while True:
        pods = {
            pod["spec"].get("nodeName"): pod
            for pod in api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        }
        reasons = {node: reason for node in nodes if (reason := _why_not(pods.get(node)))}
        if not reasons or time.monotonic() >= deadline:
            return {node: pods[node]["status"]["podIP"] for node in nodes if node not in reasons}, reasons
        time.sleep(0.2)


def _why_not(pod: Document | None) -> str:
    """Why a pod is not ready, in a sentence; empty when it is."""
    if pod is None:
        return "no pod was started on this node (look at the controller manager and at the node's taints)"
    status = pod["status"]
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True" and status.get("podIP"):
        return ""
    for container in status.get("containerStatuses", []):
        for state in ("waiting", "terminated"):
            details = container["state"].get(state)
            if details:
                return (
                    f"a pod on this node does not start: {details.get('reason')} {details.get('message', '')}".strip()
                )
    if status.get("phase") == "Pending":
        return "a pod on this node is not taken up by its kubelet (journalctl -u kubelet there)"
    return "a pod on this node runs and does not become ready: the host can't reach its own pod"


def remove(api: API) -> None:
    """Take the namespace away, and wait until it is gone. Raises HostError where it does not go."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    deadline = time.monotonic() + REMOVAL
    # The namespace controller comes back only after seconds where it has met pods: they go before, in no good order.
    if api.get(path):
        _delete(api, f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMON_SET}?propagationPolicy=Background")
    while api.get(path):
        _delete(api, f"{path}/pods?gracePeriodSeconds=0")
        if not api.request("GET", f"{path}/pods")["items"]:
            _delete(api, path)
        if time.monotonic() >= deadline:
            raise HostError(
                f"the namespace {NAMESPACE} does not go: kubectl get namespace {NAMESPACE} -o yaml says why"
            )
        time.sleep(0.1)


def _delete(api: API, path: str) -> None:
    with contextlib.suppress(RefusedError):  # it may be on its way out, or out
        api.request("DELETE", path)


def stand_guard(api: API, uid: str, seconds: float) -> None:
    """Leave a process behind that takes the namespace away, should the run be killed first. It ends when that is gone."""
    if os.fork():
        os.wait()
        return
    # From here on nothing may return: this is a copy of a process that has other things to do.
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(quiet, number)
        # The connection is shared with the process this is a copy of, and only one of them may speak on it.
        api.close()
        _guard(api, uid, time.monotonic() + seconds)
    finally:
        os._exit(0)


def _guard(api: API, uid: str, deadline: float) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    while time.monotonic() < deadline:
        time.sleep(2)
        found = api.get(path)
        if found is None or found["metadata"]["uid"] != uid:
            return
    api.request("DELETE", path, {"preconditions": {"uid": uid}})
