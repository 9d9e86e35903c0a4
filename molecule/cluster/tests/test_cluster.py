"""The cluster does what it is for: pods on its nodes, and services that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from kubeinstall.lab.example_images import BUSYBOX
from tests.lab import Lab, eventually, load_images

# Each pod says its own name.
ANSWER = "mkdir /www && hostname >/www/index.html && exec httpd -f -p 8080 -h /www"
LABELS = {"app": "greeter"}
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "DoNotSchedule",
    "nodeTaintsPolicy": "Honor",
    "labelSelector": {"matchLabels": LABELS},
}
POD = {
    "topologySpreadConstraints": [SPREAD],
    "terminationGracePeriodSeconds": 1,
    "containers": [{"name": "greeter", "image": BUSYBOX, "command": ["sh", "-c", ANSWER]}],
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "greeter"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": POD},
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "greeter"},
    "spec": {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]},
}


@pytest.fixture(scope="module")
def namespace(lab: Lab) -> Iterator[str]:
    """One of its own for each run, with a service and its pods, one on each node."""
    load_images(lab, BUSYBOX)
    name = f"try-{uuid4().hex[:8]}"
    lab.kubectl(f"create namespace {name}")
    for manifest in (DEPLOYMENT, SERVICE):
        lab.kubectl(f"create --namespace={name} --filename=-", manifest)
    yield name
    lab.kubectl(f"delete namespace {name} --wait=false")


def running(lab: Lab, namespace: str) -> dict[str, str]:
    """{pod: its node} of those that run, and are not on their way out."""
    pods = lab.objects(f"pods --namespace={namespace} --selector=app=greeter")
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in pods
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


def service(lab: Lab, namespace: str) -> dict[str, Any]:
    (found,) = lab.objects(f"services --namespace={namespace}")
    return dict(found["spec"])


def asked_by_hosts(lab: Lab, url: str) -> list[set[str]]:
    """The names of the pods that answer some tries of each host."""
    curl = f"for time in $(seq 20); do curl --silent --show-error --fail --max-time 2 {url} || exit; done"
    return [set(lab.sh(host, curl).split()) for host in lab.all]


def asked_by_pods(lab: Lab, namespace: str, url: str) -> list[set[str]]:
    """The same of each pod."""
    wget = f"sh -c 'for time in $(seq 20); do timeout 2 wget -q -O - {url} || exit; done'"
    return [
        set(lab.kubectl(f"exec --namespace={namespace} {pod} -- {wget}").split()) for pod in running(lab, namespace)
    ]


def test_a_deployments_pods_run_on_all_nodes(lab: Lab, namespace: str) -> None:
    nodes = sorted(lab.name(host) for host in lab["node"])
    eventually(lambda: sorted(running(lab, namespace).values()) == nodes, 20, f"a new pod runs on each of {nodes}")


def test_all_hosts_are_ready_nodes(lab: Lab) -> None:
    ready = {
        node["metadata"]["name"]
        for node in lab.objects("nodes")
        for condition in node["status"]["conditions"]
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }
    assert ready == {lab.name(host) for host in lab.all}


def test_pods_reach_the_pods_of_all_nodes_by_the_services_name_and_address(lab: Lab, namespace: str) -> None:
    pods = set(running(lab, namespace))
    names = ["greeter", f"greeter.{namespace}.svc.cluster.local", service(lab, namespace)["clusterIP"]]
    what = f"each pod reaches all pods by each of {names}"
    eventually(
        lambda: [asked_by_pods(lab, namespace, f"http://{name}") for name in names] == [[pods] * 2] * 3, 20, what
    )


def test_hosts_reach_the_pods_of_all_nodes_by_the_services_address_and_node_port(lab: Lab, namespace: str) -> None:
    pods = set(running(lab, namespace))
    spec = service(lab, namespace)
    (port,) = spec["ports"]
    places = [spec["clusterIP"], *(f"{lab.address(host)}:{port['nodePort']}" for host in lab.all)]
    what = f"each host reaches all pods by each of {places}"
    eventually(lambda: [asked_by_hosts(lab, f"http://{place}") for place in places] == [[pods] * 3] * 4, 20, what)


def test_static_pods_of_the_inventory_run_on_its_nodes(lab: Lab) -> None:
    pods = {pod["metadata"]["name"]: pod for pod in lab.objects("pods --namespace=kube-system")}
    for host in lab["node"]:
        assert pods[f"still-{lab.name(host)}"]["status"]["phase"] == "Running"


def test_etcd_holds_what_the_api_was_told_and_no_secret_in_clear(lab: Lab, namespace: str) -> None:
    lab.kubectl(f"create secret generic hidden --namespace={namespace} --from-literal=word=swordfish")
    access = "--cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
    etcdctl = f"etcdctl --cacert=/etc/etcd/pki/ca.crt {access} get --print-value-only"
    (member,) = lab["etcd"]
    readable = "tr --complement --delete '[:print:]'"
    stored = lab.sh(member, f"{etcdctl} /registry/configmaps/{namespace}/kube-root-ca.crt | {readable}")
    assert "BEGIN CERTIFICATE" in stored
    stored = lab.sh(member, f"{etcdctl} /registry/secrets/{namespace}/hidden | {readable}")
    assert stored.startswith("k8s:enc:")
    assert "swordfish" not in stored


def test_the_pods_of_a_drained_node_go_elsewhere(lab: Lab, namespace: str) -> None:
    leaving, staying = (lab.name(host) for host in lab["node"])
    try:
        lab.kubectl(f"drain {leaving} --ignore-daemonsets --delete-emptydir-data --timeout=60s")
        elsewhere = f"all pods of {leaving} run on {staying}"
        eventually(lambda: list(running(lab, namespace).values()) == [staying] * 2, 60, elsewhere)
        pods = set(running(lab, namespace))
        url = f"http://{service(lab, namespace)['clusterIP']}"
        eventually(lambda: asked_by_hosts(lab, url) == [pods] * len(lab.all), 20, "the service leads to the new pods")
    finally:
        lab.kubectl(f"uncordon {leaving}")
