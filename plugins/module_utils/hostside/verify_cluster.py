"""Starts a pod on every node to try the network from, and takes them away again; run on a control plane.

spec: remove (take away what is there, and nothing else), server, authority, certificate, key, nodes (names), version,
      domain, dns_address, host (this control plane's name), patience (seconds for the API to answer), seconds (to wait
      for the pods), guard (seconds until they go by themselves, 0 for never)
Returns {checks: [{check, host, problems, detail}], network: what network_probe.py is told, null where no API answers}.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import Any, Dict, List, NamedTuple, Optional

from .answers import Answer
from .api import API, Document, UnreachableError
from .errors import HostError
from .waiting import pause

# Not a namespace of its own: one takes five seconds to go, whatever is in it.
NAMESPACE = "kube-system"
LABEL = "kubeinstall/verify"
PORT = 8080
CORE = ("pods", "services", "configmaps")
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


class Check(NamedTuple):
    check: str
    host: str
    problems: List[str]
    detail: str


class Node(NamedTuple):
    address: str
    pod: str


class DNS(NamedTuple):
    server: str
    names: Dict[str, str]


class Network(NamedTuple):
    nodes: Dict[str, Node]
    cluster_ip: str
    node_port: int
    port: int
    dns: DNS
    path: str
    token: str


class Started(NamedTuple):
    checks: List[Check]
    network: Optional[Network]


ANSWERS = {"main": Answer(Started, reads=True)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    access = [spec[name] for name in ("server", "authority", "certificate", "key")]
    try:
        with contextlib.closing(API(*access, patience=spec["patience"])) as api:
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
    image, problems = dns_image(api)
    checks = [_check("DNS", spec["host"], problems)] if problems else []
    nodes = {node["metadata"]["name"]: node for node in api.request("GET", "/api/v1/nodes")["items"]}
    checks += [_check("node", name, node_problems(nodes.get(name), spec["version"])) for name in spec["nodes"]]
    if image is None:
        return {"checks": checks, "network": None}
    # A name of its own each time: the cluster's DNS remembers for a while what the last one's address was.
    name = f"kubeinstall-verify-{token[:8]}"
    service = start(api, image, name, token, spec["guard"])
    pods, reasons = wait_for_pods(api, [name for name in spec["nodes"] if name in nodes], spec["seconds"])
    checks += [_check("pods", node, [reason]) for node, reason in reasons.items()]
    kubernetes = api.request("GET", "/api/v1/namespaces/default/services/kubernetes")
    names = {"kubernetes.default": kubernetes, f"{name}.{NAMESPACE}": service}
    network = {
        "nodes": {node: {"address": address_of(nodes[node]), "pod": pod} for node, pod in pods.items()},
        "cluster_ip": service["spec"]["clusterIP"],
        "node_port": service["spec"]["ports"][0]["nodePort"],
        "port": PORT,
        "dns": {
            "server": spec["dns_address"],
            "names": {f"{name}.svc.{spec['domain']}": item["spec"]["clusterIP"] for name, item in names.items()},
        },
        "path": f"/registry/configmaps/{NAMESPACE}/{name}",
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
    """Make a pod on every node and a Service in front of them; the Service as it was made."""
    if guard:
        stand_guard(api, guard)
    labels = {LABEL: token[:8], "app.kubernetes.io/managed-by": "kubeinstall"}
    metadata = {"name": name, "labels": labels}
    base = f"/api/v1/namespaces/{NAMESPACE}"
    content = {"metadata": metadata, "data": {"Corefile": COREFILE, "token": token}}
    api.request("POST", f"{base}/configmaps", content)
    service = api.request("POST", f"{base}/services", {"metadata": metadata, **answering_service(labels)})
    pods = {"metadata": metadata, **daemon_set(image, name, labels)}
    api.request("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets", pods)
    return service


def answering_service(labels: dict[str, str]) -> Document:
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return {"spec": {"type": "NodePort", "selector": labels, "ports": ports}}


def daemon_set(image: str, name: str, labels: dict[str, str]) -> Document:
    container = {
        "name": "answer",
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
            {"name": "corefile", "configMap": {"name": name, "items": [{"key": "Corefile", "path": "Corefile"}]}}
        ],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"spec": {"selector": {"matchLabels": labels}, "template": template}}


def wait_for_pods(api: API, nodes: list[str], seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """({node: address of its pod} of the pods that are ready, {node: why its is not})."""
    deadline = time.monotonic() + seconds
    while True:
        pods = {
            pod["spec"].get("nodeName"): pod
            for pod in api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={LABEL}")["items"]
        }
        reasons = {node: reason for node in nodes if (reason := _why_not(pods.get(node)))}
        if not reasons or time.monotonic() >= deadline:
            ready = {node: pods[node]["status"]["podIP"] for node in nodes if node not in reasons}
            return ready, {node: reason + last_event(api, pods.get(node)) for node, reason in reasons.items()}
        pause(0.2)


def last_event(api: API, pod: Document | None) -> str:
    """What kubelet has said of a pod last, if that was a warning: why it waits stands nowhere else."""
    if pod is None:
        return ""
    uid = pod["metadata"]["uid"]
    events = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/events?fieldSelector=involvedObject.uid={uid}")[
        "items"
    ]
    warnings = sorted(
        (item for item in events if item["type"] == "Warning"), key=lambda item: item["lastTimestamp"] or ""
    )
    return f" ({warnings[-1]['reason']}: {' '.join(warnings[-1]['message'].split())[-300:]})" if warnings else ""


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
    """Take away what this or an earlier verification has made, and wait until it is gone."""
    kinds = (
        f"apis/apps/v1/namespaces/{NAMESPACE}/daemonsets",
        *(f"api/v1/namespaces/{NAMESPACE}/{kind}" for kind in CORE),
    )
    deadline = time.monotonic() + REMOVAL
    while True:
        left = []
        for kind in kinds:
            path = f"/{kind}?labelSelector={LABEL}"
            there = [item["metadata"]["name"] for item in api.request("GET", path)["items"]]
            left += there
            if there:
                # The pods have nothing to end in good order.
                api.request("DELETE", f"{path}&propagationPolicy=Background&gracePeriodSeconds=0")
        if not left:
            return
        if time.monotonic() >= deadline:
            raise HostError(f"in {NAMESPACE} there is still {', '.join(left)}, which was deleted {REMOVAL} s ago")
        time.sleep(0.1)


def stand_guard(api: API, seconds: float) -> None:
    """Leave a process behind that takes all away should the run be killed before it does; it ends when that is gone."""
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
        deadline = time.monotonic() + seconds
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps?labelSelector={LABEL}"
        while time.monotonic() < deadline:
            time.sleep(2)
            if not api.request("GET", path)["items"]:
                os._exit(0)
        remove(api)
    finally:
        os._exit(0)
