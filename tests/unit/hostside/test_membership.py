"""Nodes are drained and taken out, and remembered, on a real API server; nothing runs there that would end pods."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import drain, membership, nodes, notes
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, RefusedError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from kubeinstall.components import Catalogue
from tests.unit.hostside.nodes import budget, pod, report, rooted

Document = dict[str, Any]


def spec(access: Document, operation: str, node: str, *, check: bool = False) -> Document:
    marks = {f"node.{node}": {"name": node, "address": "192.0.2.99", "machine_id": ""}}
    return {**rooted(access), "operation": operation, "name": node, "check": check, "seconds": 5, "marks": marks}


def test_a_node_is_emptied_remembered_and_gone(api: API, api_access: Document, node: str) -> None:
    pod(api, node, "web", owner="ReplicaSet", volumes=({"name": "cache", "emptyDir": {}},))
    pod(api, node, "alone")
    pod(api, node, "everywhere", owner="DaemonSet")
    pod(api, node, "ended", phase="Succeeded")
    pod(api, node, "mirror", annotations={"kubernetes.io/config.mirror": "1"})
    found = membership.main(spec(api_access, "foresee", node))
    assert sorted(found["pods"]) == ["default/alone", "default/web"]
    assert found["lost"] == ["default/alone"]
    assert found["empty_dirs"] == ["default/web"]
    notes.write(api, nodes.RECORD, {node: {"labels": ["disk"], "taints": []}})
    steps = ("drain", "mark", "delete")
    planned = [membership.main(spec(api_access, step, node, check=True))["changes"] for step in steps]
    assert node in notes.read(api, nodes.RECORD)
    assert len(drain.pods(api, node)) == 2
    assert f"node.{node}" not in notes.read(api, membership.MARKS)
    with pytest.raises(HostError, match=f"the removal of {node} is not recorded, so its Node was not deleted"):
        membership.main(spec(api_access, "delete", node))
    assert [membership.main(spec(api_access, step, node))["changes"] for step in steps] == planned
    assert planned == [
        [f"cordon {node}", f"drain {node}: evict 2 pods", f"delete emptyDir data on {node}: default/web"],
        [f"remember that {node} was removed (node)"],
        [f"delete Node {node}"],
    ]
    assert drain.pods(api, node) == []
    assert api.get(f"/api/v1/nodes/{node}") is None
    assert node not in notes.read(api, nodes.RECORD)
    mark = notes.read(api, membership.MARKS)[f"node.{node}"]
    assert (mark["name"], mark["machine_id"], mark["address"]) == (node, "8f14", "192.0.2.21")
    assert [membership.main(spec(api_access, step, node))["changes"] for step in steps] == [[], [], []]
    welcome = {**spec(api_access, "welcome", node), "marks": [f"node.{node}"]}
    assert membership.main(welcome)["changes"] == [f"forget that {node} was removed"]
    assert membership.main(welcome)["changes"] == []


def test_a_disruption_budget_in_the_way_is_named_before_anything_is_touched(
    api: API, api_access: Document, node: str
) -> None:
    pod(api, node, "guarded", owner="ReplicaSet")
    budget(api, "guarded", allowed=0)
    with pytest.raises(HostError, match=r"nothing was changed.*default/guarded: .*disruption budget guarded needs 1"):
        membership.main(spec(api_access, "foresee", node))
    assert not api.request("GET", f"/api/v1/nodes/{node}")["spec"].get("unschedulable")
    with pytest.raises(HostError, match=r"after 1 s there still are pods .*guarded.*kubectl uncordon"):
        drain.drain(api, node, 1)
    allow = threading.Timer(1, lambda: budget(api, "guarded", allowed=1))
    allow.start()
    assert drain.drain(api, node, 10) is True
    assert drain.pods(api, node) == []


def test_the_pods_of_a_node_without_a_kubelet_wait_for_their_containers(
    api: API, api_access: Document, node: str
) -> None:
    """Force-deletion is a step of its own: the caller ends the containers before, where the host answers."""
    pod(api, node, "stuck", owner="ReplicaSet")
    budget(api, "stuck", allowed=0)
    with pytest.raises(HostError, match=f"the kubelet of {node} reports again: its pods were not force-deleted"):
        membership.main(spec(api_access, "force", node))
    report(api, node, "Unknown")
    found = membership.main(spec(api_access, "foresee", node))
    assert (found["silent"], found["pods"]) == (True, ["default/stuck"])
    for check in (True, False):
        assert membership.main(spec(api_access, "drain", node, check=check)) == {
            "changes": [f"cordon {node}"],
            "silent": True,
        }
    assert api.get("/api/v1/namespaces/default/pods/stuck") is not None
    planned = membership.main(spec(api_access, "force", node, check=True))["changes"]
    assert membership.main(spec(api_access, "force", node))["changes"] == planned == [f"force-delete 1 pods of {node}"]
    assert api.get("/api/v1/namespaces/default/pods/stuck") is None
    assert membership.main(spec(api_access, "force", node))["changes"] == []


def test_what_the_cluster_knows(api: API, api_access: Document, node: str) -> None:
    said = membership.main(spec(api_access, "ask", node))
    assert said["nodes"][node] == "192.0.2.21"
    assert isinstance(said["marks"], dict)
    assert said["kubelets"][node] == ""
    assert said["service_cidrs"] == {"kubernetes": ["10.96.0.0/24"]}
    assert said["dns_address"] == ""
    assert said["settings"] == {}


def test_which_api_servers_run_and_of_which_version(api: API, api_access: Document, node: str) -> None:
    port = int(api_access["server"].rpartition(":")[2])
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes"},
        "addressType": "IPv4",
        # The API takes no loopback address as an endpoint; this one is nobody's.
        "endpoints": [{"addresses": ["192.0.2.1"]}],
        "ports": [{"name": "https", "port": port}],
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53}]},
    }
    slices, services = membership.API_SERVERS.rpartition("/")[0], membership.DNS.rpartition("/")[0]
    api.request("POST", slices, endpoints)
    api.request("POST", services, service)
    try:
        said = membership.main(spec(api_access, "ask", node))
    finally:
        api.request("DELETE", membership.API_SERVERS)
        api.request("DELETE", membership.DNS)
    assert said["api_servers"] == {"192.0.2.1": ""}
    assert said["dns_address"] == "10.96.0.10"
    assert api.version(api_access["server"]) == Catalogue.load().default("kubernetes")
    assert api.version("https://127.0.0.1:1") == ""


def test_a_pod_that_is_gone_is_no_obstacle(api: API, node: str) -> None:
    ghost = {"metadata": {"namespace": "default", "name": "ghost", "uid": "1"}}
    assert drain.evict(api, ghost, check=True) is None
    with pytest.raises(RefusedError):
        api.request("DELETE", drain._path(ghost))
