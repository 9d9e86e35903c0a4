"""The pods of a verification, at a real API server: made, waited for, and taken away, also when the run was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import verify_cluster
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API

DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"
LEFT = ("configmaps", "services", "pods")


@pytest.fixture
def api(api_access: dict[str, Any]) -> Iterator[API]:
    with closing(API(**api_access, patience=10)) as api:
        for _ in range(100):  # it makes this namespace a moment after it is ready
            if api.get("/api/v1/namespaces/kube-system"):
                break
            time.sleep(0.1)
        yield api


@pytest.fixture
def dns(api: API) -> Iterator[None]:
    labels = {"k8s-app": "kube-dns"}
    containers = [{"name": "coredns", "image": "example.org/coredns:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    api.request("POST", DEPLOYMENTS, {"metadata": {"name": "coredns"}, "spec": spec})
    yield
    api.request("DELETE", f"{DEPLOYMENTS}/coredns")


@pytest.fixture
def node(api: API) -> Iterator[str]:
    api.request("POST", "/api/v1/nodes", {"metadata": {"name": "one"}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "conditions": [{"type": "Ready", "status": "False", "message": "no network"}],
        "nodeInfo": dict.fromkeys(
            (
                *("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"),
                *("kubeProxyVersion", "operatingSystem", "architecture"),
            ),
            "",
        )
        | {"kubeletVersion": "v1.0.0"},
    }
    api.request("PATCH", "/api/v1/nodes/one/status", {"status": status}, "application/merge-patch+json")
    yield "one"
    api.request("DELETE", "/api/v1/nodes/one")


def run(access: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"remove": False, "host": "cp", "nodes": ["one", "two"], "version": "1.0.1", "domain": "cluster.local"}
    spec |= {"dns_address": "10.96.0.10", "patience": 5, "seconds": 0.5, "guard": 0}
    result: dict[str, Any] = verify_cluster.main(access | spec | more)
    return result


def made(api: API) -> list[str]:
    base = f"/api/v1/namespaces/{verify_cluster.NAMESPACE}"
    selector = f"labelSelector={verify_cluster.LABEL}"
    return [
        item["metadata"]["name"] for kind in LEFT for item in api.request("GET", f"{base}/{kind}?{selector}")["items"]
    ]


@pytest.mark.usefixtures("dns")
def test_pods_that_do_not_come_are_named_and_all_goes_again(api_access: dict[str, Any], api: API, node: str) -> None:
    found = run(api_access)
    problems = {(one["check"], one["host"]): one["problems"] for one in found["checks"]}
    assert problems["node", node] == [
        "the node's condition Ready is False: no network",
        "its kubelet is v1.0.0, and should be v1.0.1",
    ]
    assert problems["node", "two"] == ["the API knows no node of this name: its kubelet has not registered it"]
    assert "no pod was started on this node" in problems["pods", node][0]
    assert problems["DNS", "cp"] == ["0 of 1 CoreDNS pods are available"]
    network = found["network"]
    assert network["nodes"] == {}
    assert network["dns"]["names"]["kubernetes.default.svc.cluster.local"] == "10.96.0.1"
    assert 30000 <= network["node_port"] <= 32767
    assert len(made(api)) == 2
    again = run(api_access)["network"]
    assert again["path"] != network["path"]
    assert len(made(api)) == 2
    assert run(api_access, remove=True) == {"checks": [], "network": None}
    assert made(api) == []


@pytest.mark.usefixtures("dns")
def test_a_killed_run_leaves_nothing_for_long(api_access: dict[str, Any], api: API) -> None:
    run(api_access, guard=1)
    assert made(api)
    deadline = time.monotonic() + 15
    while made(api):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_without_dns_or_api_nothing_is_started(api_access: dict[str, Any], api: API) -> None:
    found = run(api_access)
    assert found["network"] is None
    assert "there is no Deployment kube-system/coredns" in found["checks"][0]["problems"][0]
    assert made(api) == []
    (check,) = run(api_access | {"certificate": "/none.crt"})["checks"]
    assert (check["check"], check["host"]) == ("API server", "cp")
    assert "/none.crt is not on this host" in check["problems"][0]
