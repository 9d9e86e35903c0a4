"""The node and its static pods as the API shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import Lab, eventually

PKI = "/etc/kubernetes/pki"


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    (host,) = lab.all
    return host


def running(lab: Lab) -> dict[str, str]:
    """{static pod: its name in the API} of those that run."""
    pods = lab.objects("pods --namespace=kube-system --field-selector=status.phase=Running")
    node = lab.name(lab.all[0])
    return {pod["metadata"]["name"].removesuffix(f"-{node}"): pod["metadata"]["name"] for pod in pods}


@pytest.fixture(scope="module")
def pods(lab: Lab) -> dict[str, str]:
    wanted = {"from-a-path", "from-an-object"}
    return eventually(lambda: found if wanted <= (found := running(lab)).keys() else {}, 60, "both static pods run")


def test_the_node_registers_itself_with_all_it_was_given(lab: Lab, host: Host) -> None:
    def registered() -> dict[str, Any]:
        return dict(json.loads(lab.kubectl(f"get node {lab.name(host)} --output=json")))

    node = eventually(registered, 30, "the node is there")
    assert {"type": "InternalIP", "address": lab.address(host)} in node["status"]["addresses"]
    assert {"key": "example.org/gpu", "value": "yes", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert node["metadata"]["labels"]["example.org/rack"] == "7"
    assert node["status"]["capacity"]["pods"] == "20"


def test_static_pods_speak_through_the_api(lab: Lab, pods: dict[str, str]) -> None:
    said = {name: lab.kubectl(f"logs --namespace=kube-system {pods[name]}") for name in pods}
    assert said == {"from-a-path": "Me, too\n", "from-an-object": "Here I am\n"}


def test_pods_are_told_of_the_clusters_dns(lab: Lab, pods: dict[str, str]) -> None:
    told = lab.kubectl(f"exec --namespace=kube-system {pods['from-an-object']} -- cat /etc/resolv.conf")
    assert "nameserver 10.200.0.10\n" in told
    assert "search kube-system.svc.example.internal svc.example.internal example.internal" in told


def test_what_the_api_shows_follows_the_manifest_files(lab: Lab, host: Host, pods: dict[str, str]) -> None:
    path = "/etc/kubernetes/manifests/from-a-path.yaml"
    lab.sh(host, f"mv {path} /root/aside.yaml")
    try:
        eventually(lambda: "from-a-path" not in running(lab), 60, "the pod is gone from the API")
    finally:
        lab.sh(host, f"mv /root/aside.yaml {path}")
    eventually(lambda: "from-a-path" in running(lab), 60, "the pod is back")
    assert "from-an-object" in pods


def test_kubelet_answers_only_those_whom_the_api_lets(lab: Lab, host: Host) -> None:
    """With the same authority behind both certificates: the API is asked who may do what."""

    def ask(client: str) -> str:
        shown = f"--cacert {PKI}/ca.crt --cert {PKI}/{client}.crt --key {PKI}/{client}.key"
        return lab.sh(host, f"curl --silent --max-time 5 {shown} https://{lab.address(host)}:10250/pods")

    assert "from-an-object" in ask("apiserver-kubelet-client")
    assert ask("kubelet-client").startswith("Forbidden")
