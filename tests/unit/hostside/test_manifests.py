"""Objects, labels and taints applied to a real API server: create, change, drift, check, refusals."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import manifests, nodes, notes, objects
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import (
    API,
    APPLY,
    MERGE,
    UnreachableError,
)
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from tests.unit.hostside.nodes import rooted

Document = dict[str, Any]
RECORD = f"ConfigMap kube-system/{nodes.RECORD}"
NOTHING: Document = {"nodes": [], "deployments": []}


@pytest.fixture
def namespace(api: API) -> Iterator[str]:
    """A namespace of the test's own; nothing runs here that would finish its removal."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.request("DELETE", f"/api/v1/namespaces/{name}")


def config_map(namespace: str, data: dict[str, str], name: str = "settings", **metadata: Any) -> Document:
    named = {"name": name, "namespace": namespace} | metadata
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": data}


def run(
    access: dict[str, Any], *objects: Document, check: bool = False, wanted_nodes: Document | None = None
) -> list[Document]:
    items = [{"object": copy.deepcopy(item), "place": f"document {number}"} for number, item in enumerate(objects, 1)]
    result = manifests.main(
        rooted(access)
        | {"check": check, "patience": 5, "objects": items, "nodes": copy.deepcopy(wanted_nodes or {})}
        | {"wait_for": NOTHING}
    )
    assert result["answered"]
    changes: list[Document] = result["changes"]
    return changes


def said(changes: list[Document]) -> list[str]:
    return [f"{change['action']} {change['what']}" for change in changes]


def test_creates_then_has_nothing_to_do(api_access: dict[str, Any], api: API, namespace: str) -> None:
    wanted = config_map(namespace, {"a": "1"})
    assert said(run(api_access, wanted)) == [f"create ConfigMap {namespace}/settings"]
    assert run(api_access, wanted) == []
    found = api.get(f"/api/v1/namespaces/{namespace}/configmaps/settings")
    assert found
    assert found["data"] == {"a": "1"}
    assert [entry["manager"] for entry in found["metadata"]["managedFields"]] == ["kubeinstall"]


def test_change_shows_before_and_after(api_access: dict[str, Any], namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1", "b": "2"}))
    (change,) = run(api_access, config_map(namespace, {"a": "3"}))
    assert change["action"] == "change"
    assert change["before"]["data"] == {"a": "1", "b": "2"}
    assert change["after"]["data"] == {"a": "3"}
    assert "resourceVersion" not in change["after"]["metadata"]


def test_drift_by_hand_is_repaired_and_others_fields_stay(api_access: dict[str, Any], api: API, namespace: str) -> None:
    wanted = config_map(namespace, {"a": "1"})
    run(api_access, wanted)
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    api.request("PATCH", path, {"data": {"a": "by hand", "theirs": "x"}}, MERGE)
    (change,) = run(api_access, wanted)
    assert change["after"]["data"] == {"a": "1", "theirs": "x"}


def test_check_touches_nothing_and_is_exact(api_access: dict[str, Any], api: API, namespace: str) -> None:
    wanted = config_map(namespace, {"a": "1"})
    predicted = run(api_access, wanted, check=True)
    assert api.get(f"/api/v1/namespaces/{namespace}/configmaps/settings") is None
    assert run(api_access, wanted) == predicted
    changed = config_map(namespace, {"a": "2"})
    predicted = run(api_access, changed, check=True)
    assert run(api_access, wanted, check=True) == []
    assert run(api_access, changed) == predicted


def test_check_knows_what_an_earlier_object_would_have_made(api_access: dict[str, Any], api: API) -> None:
    name = f"new-{uuid.uuid4().hex[:8]}"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    objects = (config_map(name, {"a": "1"}), space, *widgets(name))
    predicted = said(run(api_access, *objects, check=True))
    assert predicted == [
        f"create Namespace {name}",
        f"create CustomResourceDefinition widgets.{name}.example.org",
        f"create ConfigMap {name}/settings",
        f"create Widget {name}/one",
    ]
    assert api.get(f"/api/v1/namespaces/{name}") is None
    assert said(run(api_access, *objects)) == predicted
    assert run(api_access, *objects, check=True) == []


def widgets(name: str) -> tuple[Document, Document]:
    """An object, and after it the definition of its kind."""
    group = f"{name}.example.org"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [version],
        },
    }
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "one", "namespace": name}, "spec": {}}
    return widget, definition


def test_namespace_default_where_none_is_written(api_access: dict[str, Any], api: API) -> None:
    wanted = config_map("", {"a": "1"}, name=f"loose-{uuid.uuid4().hex[:8]}")
    del wanted["metadata"]["namespace"]
    (change,) = run(api_access, wanted)
    name = wanted["metadata"]["name"]
    assert change["what"] == f"ConfigMap default/{name}"
    api.request("DELETE", f"/api/v1/namespaces/default/configmaps/{name}")


def test_secrets_are_masked(api_access: dict[str, Any], namespace: str) -> None:
    def secret(value: str) -> Document:
        metadata = {"name": "password", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"word": value, "same": "s"}}

    (created,) = run(api_access, secret("first"))
    assert created["after"]["stringData"] == {"word": objects.MASK, "same": objects.MASK}
    (changed,) = run(api_access, secret("second"))
    assert changed["before"]["data"] == {"word": objects.MASK, "same": objects.MASK}
    assert changed["after"]["data"] == {"word": f"{objects.MASK}: another value", "same": objects.MASK}
    assert run(api_access, secret("second")) == []


@pytest.mark.parametrize("check", [True, False])
def test_refusal_names_object_place_and_reason(api_access: dict[str, Any], namespace: str, check: bool) -> None:
    wrong = config_map(namespace, {"a": "1"})
    wrong["data"] = {"not/valid": "x"}
    with pytest.raises(HostError, match=rf"ConfigMap {namespace}/settings \(document 2\): .*not/valid"):
        run(api_access, config_map(namespace, {"a": "1"}, name="other"), wrong, check=check)


def test_unknown_kind_and_unknown_field(api_access: dict[str, Any], namespace: str) -> None:
    unknown = config_map(namespace, {}) | {"apiVersion": "example.org/v1", "kind": "Gadget"}
    with pytest.raises(HostError, match=r"has no kind Gadget in example\.org/v1"):
        run(api_access, unknown)
    misspelt = config_map(namespace, {}) | {"dta": {"a": "1"}}
    with pytest.raises(HostError, match="dta"):
        run(api_access, misspelt)


@pytest.mark.parametrize("with_certificate", [True, False])
def test_no_cluster_yet(api_access: dict[str, Any], tmp_path: Path, with_certificate: bool) -> None:
    access = api_access | {"server": "https://127.0.0.1:1"}
    if not with_certificate:
        access["certificate"] = str(tmp_path / "none.crt")
    items = [{"object": config_map("x", {"a": "1"}), "place": "document 1"}]
    spec = rooted(access) | {
        "wait_for": NOTHING,
        "patience": 0.1,
        "objects": items,
        "nodes": {"n1": {"labels": {"a": "b"}, "taints": []}},
    }
    result = manifests.main(spec | {"check": True})
    assert result["answered"] is False
    assert said(result["changes"]) == ["create ConfigMap x/settings", f"create {RECORD}", "create Node n1"]
    with pytest.raises(UnreachableError, match=r"did not answer within|is not on this host"):
        manifests.main(spec | {"check": False})


# Nodes

OURS = {"key": "dedicated", "value": "store", "effect": "NoSchedule"}
FOREIGN = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


@pytest.fixture
def node(api: API) -> Iterator[str]:
    name = f"node-{uuid.uuid4().hex[:8]}"
    labels = {"kubernetes.io/hostname": name}
    api.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "spec": {"taints": [FOREIGN]}})
    yield name
    api.request("DELETE", f"/api/v1/nodes/{name}")


def settings(name: str, labels: dict[str, str], *taints: dict[str, str]) -> Document:
    return {name: {"labels": labels, "taints": list(taints)}}


def state(api: API, name: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    found = api.request("GET", f"/api/v1/nodes/{name}")
    taints = found["spec"].get("taints", [])
    assert all(taint.keys() <= {"key", "value", "effect", "timeAdded"} for taint in taints)
    return found["metadata"]["labels"], [{k: v for k, v in taint.items() if k != "timeAdded"} for taint in taints]


def recorded(api: API, name: str) -> Any:
    return notes.read(api, nodes.RECORD).get(name)


def test_labels_and_taints_come_and_go_and_foreign_ones_stay(api_access: dict[str, Any], api: API, node: str) -> None:
    before = state(api, node)
    wanted = settings(node, {"disk": "fast", "node-role.kubernetes.io/control-plane": ""}, OURS)
    predicted = run(api_access, wanted_nodes=wanted, check=True)
    assert [one.partition(" ")[2] for one in said(predicted)] == [RECORD, f"Node {node}"]
    assert (state(api, node), recorded(api, node)) == (before, None)
    assert run(api_access, wanted_nodes=wanted) == predicted
    labels, taints = state(api, node)
    assert labels == before[0] | wanted[node]["labels"]
    assert OURS in taints
    assert FOREIGN in taints
    assert recorded(api, node) == {"labels": sorted(wanted[node]["labels"]), "taints": ["dedicated:NoSchedule"]}
    assert run(api_access, wanted_nodes=wanted) == []
    assert run(api_access, wanted_nodes=wanted, check=True) == []
    assert said(run(api_access, wanted_nodes=settings(node, {}))) == [f"change {RECORD}", f"change Node {node}"]
    assert state(api, node) == before
    assert recorded(api, node) == {"labels": [], "taints": []}


def test_changed_value_and_drift_by_hand(api_access: dict[str, Any], api: API, node: str) -> None:
    run(api_access, wanted_nodes=settings(node, {"disk": "fast"}, OURS))
    other = OURS | {"value": "web"}
    # The record has the keys alone.
    (change,) = run(api_access, wanted_nodes=settings(node, {"disk": "slow"}, other))
    assert change["before"]["labels"] == {"disk": "fast"}
    assert change["after"]["labels"] == {"disk": "slow"}
    assert other in state(api, node)[1]
    assert OURS not in state(api, node)[1]
    api.request(
        "PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": {"disk": None}}, "spec": {"taints": None}}, MERGE
    )
    assert len(run(api_access, wanted_nodes=settings(node, {"disk": "slow"}, other))) == 1
    assert state(api, node) == ({"kubernetes.io/hostname": node, "disk": "slow"}, [other])


def test_a_taint_kubelet_registered_with_becomes_ours(api_access: dict[str, Any], api: API, node: str) -> None:
    foreign = {"key": FOREIGN["key"], "effect": FOREIGN["effect"]}
    before = state(api, node)[1]
    run(api_access, wanted_nodes=settings(node, {}, foreign))
    assert state(api, node)[1] == before
    run(api_access, wanted_nodes=settings(node, {}))
    assert state(api, node)[1] == [taint for taint in before if taint != FOREIGN]


def test_unregistered_node(api_access: dict[str, Any], api: API) -> None:
    wanted = settings("nobody", {"a": "b"}, OURS)
    _, change = run(api_access, wanted_nodes=wanted, check=True)
    assert (change["action"], change["before"], change["after"]["taints"]) == ("create", None, [OURS])
    spec = rooted(api_access) | {"check": False, "patience": 0.5, "objects": [], "nodes": wanted, "wait_for": NOTHING}
    with pytest.raises(HostError, match="Node nobody was not registered within"):
        manifests.main(spec)
    assert api.get("/api/v1/nodes/nobody") is None


def test_settings_never_make_a_node(api: API) -> None:
    with pytest.raises(HostError, match="Node gone: the API refuses its labels or taints"):
        nodes._set(api, "gone", settings("gone", {"a": "b"}, OURS)["gone"], nodes.NOTHING, "kubeinstall")
    assert api.get("/api/v1/nodes/gone") is None


def forge(api: API, name: str) -> None:
    """What the node's kubelet can write: an annotation, and who owns a label."""
    owned: Document = {"f:metadata": {"f:labels": {"f:rack": {}}}}
    entry = {"manager": "kubeinstall", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    annotations = {nodes.FORMER: json.dumps([FOREIGN, OURS])}
    metadata = {"annotations": annotations, "managedFields": [entry | {"fieldsV1": owned}]}
    api.request("PATCH", f"/api/v1/nodes/{name}", {"metadata": metadata}, MERGE)


@pytest.mark.parametrize("known", [True, False], ids=["recorded", "not recorded"])
def test_a_node_does_not_decide_what_is_removed_from_it(
    api_access: dict[str, Any], api: API, node: str, known: bool
) -> None:
    if known:
        run(api_access, wanted_nodes=settings(node, {}))
    body = {"metadata": {"labels": {"rack": "7"}}, "spec": {"taints": [FOREIGN, OURS]}}
    api.request("PATCH", f"/api/v1/nodes/{node}", body, MERGE)
    before = state(api, node)
    forge(api, node)
    changes = run(api_access, wanted_nodes=settings(node, {"disk": "fast"}))
    assert state(api, node) == (before[0] | {"disk": "fast"}, before[1])
    assert changes[-1]["after"]["annotations"] == {}
    assert run(api_access, wanted_nodes=settings(node, {"disk": "fast"})) == []


def test_the_record_of_an_earlier_version_counts_as_far_as_the_inventory_agrees(
    api_access: dict[str, Any], api: API, node: str
) -> None:
    """As an installation by an earlier version left it; in between, the inventory has lost one label and one taint."""
    gone = {"key": "gone", "effect": "NoSchedule"}
    note = {"annotations": {nodes.FORMER: json.dumps([OURS, gone])}}
    metadata = {"name": node, "labels": {"disk": "fast", "rack": "7"}} | note
    body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    api.request("PATCH", f"/api/v1/nodes/{node}?fieldManager=kubeinstall&force=true", body, APPLY)
    api.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"taints": [OURS, gone]}}, MERGE)
    spec = {"check": False, "patience": 5, "objects": [], "wait_for": NOTHING}
    result = manifests.main(api_access | spec | {"nodes": settings(node, {"disk": "fast"}, OURS)})
    (warning,) = result["notices"]
    assert warning.startswith(f"Node {node} keeps the label rack, the taint gone:NoSchedule: ")
    labels, taints = state(api, node)
    assert (labels["disk"], labels["rack"], taints) == ("fast", "7", [OURS, gone])
    assert nodes.FORMER not in api.request("GET", f"/api/v1/nodes/{node}")["metadata"].get("annotations", {})
    # The warning comes once. What the inventory listed all along is ours.
    result = manifests.main(api_access | spec | {"nodes": settings(node, {})})
    assert result["notices"] == []
    labels, taints = state(api, node)
    assert (labels.get("disk"), labels["rack"], taints) == (None, "7", [gone])


@pytest.mark.parametrize("annotation", ["no JSON", "{}", "[1]", '[{"key": []}]', "null"])
def test_an_annotation_that_makes_no_sense_is_removed(
    api_access: dict[str, Any], api: API, node: str, annotation: str
) -> None:
    api.request("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"annotations": {nodes.FORMER: annotation}}}, MERGE)
    before = state(api, node)
    assert len(run(api_access, wanted_nodes=settings(node, {}))) == 2
    assert state(api, node) == before
    assert run(api_access, wanted_nodes=settings(node, {})) == []


@pytest.mark.parametrize("entry", ["[]", '{"labels": []}', '{"labels": [], "taints": [1]}'])
def test_a_damaged_record_is_an_error(api_access: dict[str, Any], api: API, node: str, entry: str) -> None:
    notes.write(api, nodes.RECORD, {node: json.loads(entry)})
    try:
        with pytest.raises(HostError, match=f"{nodes.RECORD}: the entry {node} is damaged"):
            run(api_access, wanted_nodes=settings(node, {}))
    finally:
        nodes.forget(api, node)


def test_a_run_that_was_cut_short_has_recorded_what_it_set(
    api_access: dict[str, Any], api: API, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(api, node)
    whole = nodes._set

    def cut(*arguments: Any) -> None:
        whole(*arguments)
        raise HostError("the connection was lost")

    monkeypatch.setattr(nodes, "_set", cut)
    for wanted in (settings(node, {"disk": "fast"}, OURS), settings(node, {"rack": "7"})):
        with pytest.raises(HostError, match="connection"):
            run(api_access, wanted_nodes=wanted)
    monkeypatch.undo()
    assert recorded(api, node) == {"labels": ["disk", "rack"], "taints": ["dedicated:NoSchedule"]}
    run(api_access, wanted_nodes=settings(node, {}))
    assert state(api, node) == before


def test_what_does_not_become_ready_is_named(api_access: dict[str, Any], api: API, namespace: str) -> None:
    """No controller and no kubelet runs here: a Deployment stays without pods, and a node says nothing of itself."""
    labels = {"app": "idle"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "idle", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        },
    }
    items = [{"object": deployment, "place": "here"}]
    wanted = {"nodes": ["silent"], "deployments": [f"{namespace}/idle", f"{namespace}/absent"]}
    spec = rooted(api_access) | {"check": False, "patience": 0.5, "objects": items, "nodes": {}, "wait_for": wanted}
    with pytest.raises(HostError) as failure:
        manifests.main(spec)
    for sentence in (
        "Node silent has not said how it is",
        f"Deployment {namespace}/idle has 0 of 2 pods",
        f"there is no Deployment {namespace}/absent",
    ):
        assert sentence in str(failure.value)
    assert manifests.main(spec | {"check": True})["answered"]
