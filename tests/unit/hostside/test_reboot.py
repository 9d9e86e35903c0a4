"""Nodes are emptied before their reboot and given back after it, on a real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import drain, reboot
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, MERGE
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from tests.lab import eventually
from tests.unit.hostside.nodes import budget, pod, report, rooted

Document = dict[str, Any]
# Of 2026-01-01T00:00:00Z, when the node of the tests is heard of first.
BEFORE = 1767225600.0


@pytest.fixture
def another(api: API) -> Iterator[str]:
    """A second node, which takes pods."""
    api.request("POST", "/api/v1/nodes", {"metadata": {"name": "another"}})
    report(api, "another", "True")
    # A new one is tainted as not ready, and a controller takes that away.
    api.request("PATCH", "/api/v1/nodes/another", {"spec": {"taints": None}}, MERGE)
    yield "another"
    api.request("DELETE", "/api/v1/nodes/another")


def run(access: Document, operation: str, name: str = "", *, check: bool = False, **more: Any) -> Document:
    spec = {
        **rooted(access),
        "operation": operation,
        "name": name,
        "check": check,
        "seconds": 5,
        "since": BEFORE,
        "boots": {},
    }
    spec["booted"] = BEFORE
    return dict(reboot.main(spec | more))


def cordoned(api: API, name: str) -> bool:
    return bool(api.request("GET", f"/api/v1/nodes/{name}")["spec"].get("unschedulable"))


def cordon(api: API, name: str) -> None:
    api.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}}, MERGE)


def there(api: API, name: str) -> list[str]:
    return sorted(drain.title(one) for one in drain.pods(api, name))


def test_a_node_is_emptied_and_given_back(api: API, api_access: Document, node: str, another: str) -> None:
    pod(api, node, "web", owner="ReplicaSet")
    pod(api, node, "alone")
    pod(api, node, "everywhere", owner="DaemonSet")
    found = run(api_access, "foresee", node)
    assert (found["pods"], found["staying"]) == (["default/web"], ["default/alone"])
    assert not found["silent"] | found["alone"] | found["cordoned"]
    planned = run(api_access, "empty", node, check=True)["changes"]
    assert (cordoned(api, node), there(api, node)) == (False, ["default/alone", "default/web"])
    assert run(api_access, "empty", node)["changes"] == planned == [f"cordon {node}", f"drain {node}: evict 1 pods"]
    assert (cordoned(api, node), there(api, node)) == (True, ["default/alone"])
    # A run that is cut short here is gone on with by the next.
    assert run(api_access, "foresee", node)["cordoned"] is False
    assert run(api_access, "empty", node)["changes"] == []
    assert run(api_access, "finish", node)["changes"] == [f"uncordon {node}"]
    assert not cordoned(api, node)
    assert run(api_access, "finish", node)["changes"] == []


def test_a_node_that_was_cordoned_before_stays_so(api: API, api_access: Document, node: str, another: str) -> None:
    cordon(api, node)
    assert run(api_access, "foresee", node)["cordoned"] is True
    assert run(api_access, "empty", node)["changes"] == []
    assert run(api_access, "finish", node)["changes"] == []
    assert cordoned(api, node)


def test_a_node_does_not_decide_whether_it_takes_pods_again(
    api: API, api_access: Document, node: str, another: str
) -> None:
    """Its kubelet and its flannel write its annotations."""
    cordon(api, node)
    note = {"kubeinstall/cordoned-to-reboot": "true"}
    api.request("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"annotations": note}}, MERGE)
    assert run(api_access, "foresee", node)["cordoned"] is True
    assert run(api_access, "empty", node)["changes"] == []
    assert run(api_access, "finish", node)["changes"] == []
    assert cordoned(api, node)


def test_where_no_other_node_takes_pods_they_stay(api: API, api_access: Document, node: str) -> None:
    pod(api, node, "web", owner="ReplicaSet")
    budget(api, "web", allowed=0)
    found = run(api_access, "foresee", node)
    assert (found["alone"], found["pods"], found["staying"]) == (True, [], ["default/web"])
    assert run(api_access, "empty", node)["changes"] == []
    assert not cordoned(api, node)


@pytest.mark.parametrize("why", ["cordoned", "tainted", "not Ready"])
def test_a_node_that_takes_no_pods_is_none_to_go_to(
    api: API, api_access: Document, node: str, another: str, why: str
) -> None:
    assert run(api_access, "foresee", node)["alone"] is False
    if why == "cordoned":
        cordon(api, another)
    elif why == "tainted":
        taints = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
        api.request("PATCH", f"/api/v1/nodes/{another}", {"spec": {"taints": taints}}, MERGE)
    else:
        report(api, another, "Unknown")
    assert run(api_access, "foresee", node)["alone"] is True


def test_a_disruption_budget_is_named_before_and_waited_for_meanwhile(
    api: API, api_access: Document, node: str, another: str
) -> None:
    pod(api, node, "guarded", owner="ReplicaSet")
    budget(api, "guarded", allowed=0)
    with pytest.raises(HostError, match=r"nothing was changed.*default/guarded: .*disruption budget guarded needs 1"):
        run(api_access, "foresee", node)
    allow = threading.Timer(1, lambda: budget(api, "guarded", allowed=1))
    allow.start()
    run(api_access, "empty", node)
    assert there(api, node) == []


def test_the_pods_of_a_silent_node_are_not_given_up(api: API, api_access: Document, node: str, another: str) -> None:
    pod(api, node, "stuck", owner="ReplicaSet")
    report(api, node, "Unknown")
    found = run(api_access, "foresee", node)
    assert (found["silent"], found["pods"], found["staying"]) == (True, [], ["default/stuck"])
    assert run(api_access, "empty", node)["changes"] == [f"cordon {node}"]
    assert there(api, node) == ["default/stuck"]


def test_a_node_is_given_back_by_its_kubelets_own_word_since_its_reboot(
    api: API, api_access: Document, node: str, another: str
) -> None:
    run(api_access, "empty", node)
    with pytest.raises(HostError, match=rf"Node {node} was not ready within 0 s: no heartbeat since kubelet started"):
        run(api_access, "finish", node, since=BEFORE + 60.5, seconds=0)
    report(api, node, "False", "2026-01-01T00:01:00Z")
    with pytest.raises(HostError, match=r"not Ready: no network.*until then the node stays cordoned"):
        run(api_access, "finish", node, since=BEFORE + 60.5, seconds=0)
    assert cordoned(api, node)
    report(api, node, "True", "2026-01-01T00:01:00Z")
    assert run(api_access, "finish", node, since=BEFORE + 60.5)["changes"] == [f"uncordon {node}"]


def test_the_dns_on_a_node_is_waited_for(api: API, api_access: Document, node: str, another: str) -> None:
    deployments, pods = "/apis/apps/v1/namespaces/kube-system/deployments", "/api/v1/namespaces/kube-system/pods"
    labels, container = {"app": "dns"}, {"name": "x", "image": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)

    def say(ready: str, started: str) -> None:
        containers = [{"name": "x", "image": "x", "imageID": "", "ready": True, "restartCount": 0}]
        containers[0]["state"] = {"running": {"startedAt": started}}
        status = {"conditions": [{"type": "Ready", "status": ready}], "containerStatuses": containers}
        api.request("PATCH", f"{pods}/dns/status", {"status": status}, MERGE)

    eventually(lambda: api.get("/api/v1/namespaces/kube-system"), 30, "the namespace is there")
    api.request("POST", deployments, {"metadata": {"name": "coredns"}, "spec": spec})
    api.request("PATCH", f"{deployments}/coredns/status", {"status": {**counts, "observedGeneration": 1}}, MERGE)
    try:
        body = {"metadata": {"name": "dns", "labels": labels}, "spec": {"nodeName": node, "containers": [container]}}
        api.request("POST", pods, body)
        # What the API was told before the reboot is no news.
        for ready, started in (("True", "2025-12-31T23:59:59Z"), ("False", "2026-01-01T00:00:05Z")):
            say(ready, started)
            with pytest.raises(HostError, match=rf"the cluster's DNS on {node} is not ready .*: kube-system/dns"):
                run(api_access, "finish", node, seconds=0)
        say("True", "2026-01-01T00:00:05Z")
        run(api_access, "finish", node, seconds=0)
    finally:
        api.request("DELETE", f"{deployments}/coredns")


@pytest.mark.parametrize("state", ["takes pods", "tainted", "cordoned", "has one"])
def test_dns_pods_that_came_together_are_spread_again(
    api: API, api_access: Document, node: str, another: str, state: str
) -> None:
    """While this node was drained both went to the other one, and Kubernetes moves no pod that runs."""
    deployments, pods = "/apis/apps/v1/namespaces/kube-system/deployments", "/api/v1/namespaces/kube-system/pods"
    labels, container = {"app": "dns"}, {"name": "x", "image": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    taints = [{"key": "dedicated", "effect": "NoSchedule"}] if state == "tainted" else None
    api.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"taints": taints}}, MERGE)
    eventually(lambda: api.get("/api/v1/namespaces/kube-system"), 30, "the namespace is there")
    api.request("POST", deployments, {"metadata": {"name": "coredns"}, "spec": spec})
    api.request("PATCH", f"{deployments}/coredns/status", {"status": {**counts, "observedGeneration": 1}}, MERGE)
    try:
        for number, place in enumerate([another, another if state != "has one" else node]):
            metadata = {"name": f"dns-{number}", "labels": labels}
            api.request("POST", pods, {"metadata": metadata, "spec": {"nodeName": place, "containers": [container]}})
            running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
            api.request("PATCH", f"{pods}/dns-{number}/status", running, MERGE)
        if state == "cordoned":
            cordon(api, node)
        run(api_access, "finish", node)
        there = api.request("GET", pods)["items"]
        evicted = [pod["metadata"]["name"] for pod in there if "deletionTimestamp" in pod["metadata"]]
        assert len(evicted) == (1 if state == "takes pods" else 0)
    finally:
        api.request("DELETE", f"{deployments}/coredns")


def test_who_is_done_is_remembered_until_all_are(api_access: Document, node: str) -> None:
    def roll() -> dict[str, Any]:
        found: dict[str, Any] = run(api_access, "ask")["roll"]
        assert all(one["at"] for one in found.values())
        return {name: (one["boot"], one["done"]) for name, one in found.items()}

    run(api_access, "begin", boots={node: "one", "member": "two"}, check=True)
    assert roll() == {}
    run(api_access, "begin", boots={node: "one", "member": "two"})
    assert roll() == {node: ("one", False), "member": ("two", False)}
    before = run(api_access, "ask")["roll"]["member"]
    run(api_access, "finish", node)
    assert roll() == {node: ("one", True), "member": ("two", False)}
    # The next run goes on, with one more, and is asked for one again that is done.
    run(api_access, "begin", boots={"member": "two", "more": "three", node: "four"})
    assert roll() == {node: ("four", False), "member": ("two", False), "more": ("three", False)}
    assert run(api_access, "ask")["roll"]["member"] == before
    # No node: nothing is asked of it.
    assert run(api_access, "finish", "member", check=True, since=None)["changes"] == []
    for name in ("member", node):
        run(api_access, "finish", name, since=None)
    assert roll() == {node: ("four", True), "member": ("two", True), "more": ("three", False)}
    run(api_access, "finish", "more", since=None)
    assert roll() == {}


def test_a_host_that_is_no_node_yet(api_access: Document) -> None:
    with pytest.raises(HostError, match="nobody is no node of the cluster: kubeinstall apply makes it one"):
        run(api_access, "foresee", "nobody")
