"""Members come and go: nothing else is restarted, clients see nothing of it, and who was taken out stays out.

The cluster's own inventory is written anew for each step, as a user would edit it, and is put back at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from kubeinstall import lab as labs
from tests.clusters import Cluster
from tests.ha.state import ETCDCTL, nodes, whole
from tests.ha.traffic import traffic
from tests.lab import eventually


@contextmanager
def listed_without(cluster: Cluster, name: str, *groups: str) -> Iterator[None]:
    """The inventory without a host in these groups, in none at all if no group is named."""
    path = cluster.inventory / "hosts.yml"
    before = path.read_text()
    inventory = yaml.safe_load(before)
    for group, content in inventory["all"]["children"].items():
        if group in groups or not groups:
            content["hosts"].pop(name, None)
    if not groups:
        del inventory["all"]["hosts"][name]
    path.write_text(yaml.safe_dump(inventory))
    try:
        yield
    finally:
        path.write_text(before)


def change(cluster: Cluster, *arguments: str, code: int = 0) -> str:
    return cluster.command(*arguments, "-i", cluster.inventory, code=code)


def members(cluster: Cluster, asked: str) -> set[str]:
    said = json.loads(cluster.sh(asked, f"{ETCDCTL} member list --write-out=json"))
    return {member.get("name", "") for member in said["members"] if not member.get("isLearner")}


def restarted(cluster: Cluster, before: dict[str, str]) -> set[str]:
    return {unit for unit, invocation in cluster.invocations().items() if before.get(unit) != invocation}


def test_a_node_leaves_and_comes_back(cluster: Cluster) -> None:
    name = cluster.nodes[-1]
    asked = cluster.control_plane[0]
    before = cluster.invocations()
    with traffic(cluster, "a node is removed, and added again", without=[name]) as seen:
        change(cluster, "node", "remove", name, "--yes")
        assert name not in nodes(cluster, asked)
        refused = cluster.apply(code=1)
        assert f"{name}: it was taken out of the cluster" in refused
        assert f"kubeinstall node add {name}" in refused
        change(cluster, "node", "add", name)
    assert nodes(cluster, asked)[name] == "True"
    assert {unit.partition("/")[0] for unit in restarted(cluster, before)} == {name}
    assert seen.api.failures == 0, seen.api
    assert seen.service.failures == 0, seen.service
    whole(cluster)


@contextmanager
def guarded(cluster: Cluster, name: str) -> Iterator[None]:
    """A pod on this node that a disruption budget does not let go."""
    labels = {"app": "guarded"}
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10.1", "imagePullPolicy": "IfNotPresent"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "nodeName": name}}
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "guarded", "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "guarded", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
        },
    ]
    cluster.lab.kubectl("apply -f -", {"apiVersion": "v1", "kind": "List", "items": objects})
    try:
        eventually(lambda: cluster.objects("pdb")[0]["status"].get("currentHealthy") == 1, what="the pod runs")
        yield
    finally:
        cluster.lab.kubectl("delete deployment/guarded pdb/guarded")


def test_a_disruption_budget_is_named_before_anything_happens(cluster: Cluster) -> None:
    name = cluster.nodes[-1]
    with guarded(cluster, name):
        said = change(cluster, "node", "remove", name, "--yes", code=1)
        assert "The disruption budget guarded needs 1 healthy pods and has 1 currently" in said
        assert not cluster.lab.objects(f"nodes --field-selector=metadata.name={name}")[0]["spec"].get("unschedulable")
    whole(cluster)


def test_a_node_that_is_off_leaves_and_comes_back(cluster: Cluster) -> None:
    name = cluster.nodes[-1]
    with traffic(cluster, "a node that is off is removed, and added again", without=[name]) as seen:
        labs.stop(name)
        try:
            said = change(cluster, "node", "remove", name, "--yes")
        finally:
            labs.start(name)
        assert f"{name} did not answer" in said
        refused = f"journalctl --unit=kubelet --boot --grep 'kubeinstall node add {name}' --quiet"
        eventually(lambda: cluster.host(name).run(refused).stdout, what=f"{name} is told that it was taken out")
        assert name not in nodes(cluster, cluster.control_plane[0])
        change(cluster, "node", "add", name)
    assert seen.api.failures == 0, seen.api
    whole(cluster)


def test_the_containers_of_a_node_without_a_kubelet_end_before_its_pods_are_deleted(cluster: Cluster) -> None:
    """No pod's replacement runs beside it: the host answers, and only its kubelet does not report."""
    name = cluster.nodes[-1]
    asked = cluster.control_plane[0]
    with running_on(cluster, name, "kept", emptyDir={}):
        cluster.sh(name, "systemctl stop kubelet")
        eventually(lambda: nodes(cluster, asked)[name] == "Unknown", what="its kubelet does not report")
        planned = change(cluster, "node", "remove", name, "--check")
        assert f"{name}: its kubelet does not report; the containers of its" in planned
        assert f"{name}: emptyDir data will be deleted with these pods: " in planned
        assert shims(cluster, name) > 0
        output = change(cluster, "node", "remove", name, "--yes")
        assert shims(cluster, name) == 0
        order = [
            "End the pods' containers if kubelet does not report",
            "Force-delete the pods if kubelet does not report",
        ]
        assert 0 < output.find(order[0]) < output.find(order[1])
    assert name not in nodes(cluster, asked)
    change(cluster, "node", "add", name)
    whole(cluster)


def shims(cluster: Cluster, name: str) -> int:
    """How many pods have containers on the host."""
    return int(cluster.sh(name, "pgrep --count --full [c]ontainerd-shim-runc-v2 || true"))


@contextmanager
def running_on(cluster: Cluster, node: str, name: str, **volume: Any) -> Iterator[None]:
    """A pod of a Deployment on this node, and its replacements elsewhere."""
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10.1", "imagePullPolicy": "IfNotPresent"}
    prefers = {"weight": 100, "preference": {"matchExpressions": [hostname(node)]}}
    pod = {
        "containers": [container],
        "volumes": [{"name": "data", **volume}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [prefers]}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": "default"}
    cluster.lab.kubectl(
        "apply -f -", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )
    try:
        cluster.lab.kubectl(f"rollout status deployment/{name} --timeout=60s")
        yield
    finally:
        cluster.lab.kubectl(f"delete deployment/{name}")


def hostname(name: str) -> dict[str, Any]:
    return {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}


def test_a_member_that_lost_its_data_is_replaced(cluster: Cluster) -> None:
    name, *others = cluster.etcd
    before = cluster.invocations()
    with traffic(cluster, "a member of etcd is replaced", without=[name]) as seen:
        cluster.sh(name, "systemctl stop etcd && rm -rf /var/lib/etcd/default.etcd")
        said = cluster.playbook("etcd", code=2)
        assert f"kubeinstall etcd replace {name}" in " ".join(said.split())
        refused = change(cluster, "etcd", "remove", others[0], "--yes", code=1)
        assert "etcd would have no quorum" in refused
        change(cluster, "etcd", "replace", name, "--yes")
    assert members(cluster, others[0]) == set(cluster.etcd)
    assert restarted(cluster, before) == {f"{name}/etcd.service"}
    assert seen.api.failures == 0, seen.api
    whole(cluster)


def test_a_member_leaves_and_comes_back(cluster: Cluster) -> None:
    *others, name = cluster.etcd
    before = cluster.invocations()
    with traffic(cluster, "a member of etcd is removed, and added again", without=[name]) as seen:
        change(cluster, "etcd", "remove", name, "--yes")
        assert members(cluster, others[0]) == set(others)
        assert f"{name}: it was taken out of etcd" in cluster.apply(code=1)
        change(cluster, "etcd", "add", name)
    assert members(cluster, others[0]) == set(cluster.etcd)
    assert {unit for unit in restarted(cluster, before) if unit.endswith("/etcd.service")} == {f"{name}/etcd.service"}
    assert seen.api.failures == 0, seen.api
    whole(cluster)


@pytest.mark.parametrize("power", ["on", "off"])
def test_a_control_plane_leaves_and_comes_back(cluster: Cluster, power: str) -> None:
    *others, name = cluster.control_plane
    with traffic(cluster, f"a control plane that is {power} is removed, and added again", without=[name]) as seen:
        if power == "off":
            labs.stop(name)
        try:
            change(cluster, "control-plane", "remove", name, "--yes")
            with listed_without(cluster, name):
                cluster.apply()
        finally:
            if power == "off":
                labs.start(name)
        assert name not in nodes(cluster, others[0])
        assert members(cluster, others[0]) == set(others)
        change(cluster, "control-plane", "add", name)
    assert nodes(cluster, others[0])[name] == "True"
    assert seen.api.longest_gap < 10, seen.api
    if power == "on":
        assert seen.api.failures == 0, seen.api
    whole(cluster)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("node", "remove", "nobody"), "the inventory names no host nobody"),
        (("node", "remove", "test-ha-cp1"), "it is a control plane"),
        (("control-plane", "remove", "test-ha-cp1", "test-ha-cp2", "test-ha-cp3"), "the cluster has no control plane"),
        (("etcd", "remove", "test-ha-node1"), "and not in the group etcd"),
    ],
)
def test_what_makes_no_sense_is_refused(cluster: Cluster, arguments: tuple[str, ...], sentence: str) -> None:
    before = cluster.invocations()
    assert sentence in change(cluster, *arguments, "--yes", code=2)
    assert cluster.invocations() == before
