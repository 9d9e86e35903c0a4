"""What leaves the manifests leaves the cluster, on a real API server; what others made stays."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import manifests, notes, prune
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, MERGE
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from tests.unit.hostside.nodes import rooted
from tests.unit.hostside.test_manifests import config_map, said, widgets

Document = dict[str, Any]
OWNER = "of_the_test"
RECORD = f"{notes.CONFIG_MAPS}/{prune.RECORD}"


@pytest.fixture
def namespace(api: API) -> Iterator[str]:
    """A namespace of the test's own, and no record of others."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.request("DELETE", f"/api/v1/namespaces/{name}")
    if api.get(RECORD):
        api.request("DELETE", RECORD)


def run(access: dict[str, Any], *objects: Document, check: bool = False, confirm: bool = False) -> list[str]:
    return said(whole(access, *objects, check=check, confirm=confirm)["changes"])


def whole(access: dict[str, Any], *objects: Document, check: bool = False, confirm: bool = False) -> Document:
    items = [{"object": copy.deepcopy(item), "place": f"document {number}"} for number, item in enumerate(objects, 1)]
    spec = {"check": check, "patience": 5, "objects": items, "nodes": {}, "owner": OWNER, "prune_confirm": confirm}
    found: Document = manifests.main(rooted(access) | spec | {"wait_for": {"nodes": [], "deployments": []}})
    return found


def there(api: API, namespace: str, name: str) -> Document | None:
    found: Document | None = api.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    return found


def test_what_leaves_is_deleted_and_check_shows_it(api_access: dict[str, Any], api: API, namespace: str) -> None:
    one, two = (config_map(namespace, {"a": "1"}, name=name) for name in ("one", "two"))
    planned = run(api_access, one, two, check=True)
    assert planned[-1] == f"create ConfigMap kube-system/{prune.RECORD}"
    assert there(api, namespace, "one") is None
    assert run(api_access, one, two) == planned
    assert run(api_access, two, one) == []
    planned = run(api_access, two, check=True)
    assert planned == [f"change ConfigMap kube-system/{prune.RECORD}", f"delete ConfigMap {namespace}/one"]
    (_, change) = whole(api_access, two, check=True)["changes"]
    assert change["before"]["data"] == {"a": "1"}
    assert change["before"]["metadata"]["labels"] == {prune.LABEL: OWNER}
    assert change["after"] is None
    assert there(api, namespace, "one")
    assert run(api_access, two) == planned
    assert there(api, namespace, "one") is None
    assert run(api_access, two) == []


def test_an_emptied_list_deletes_all(api_access: dict[str, Any], api: API, namespace: str) -> None:
    secret = config_map(namespace, {}) | {"kind": "Secret", "data": {"a": "c2VjcmV0"}}
    run(api_access, config_map(namespace, {"a": "1"}), secret)
    changes = whole(api_access)["changes"]
    assert said(changes)[1:] == [f"delete ConfigMap {namespace}/settings", f"delete Secret {namespace}/settings"]
    assert "c2VjcmV0" not in json.dumps(changes)
    assert notes.read(api, prune.RECORD) == {OWNER: []}
    assert run(api_access) == []


def test_no_manifests_and_none_before_make_no_record(api_access: dict[str, Any], api: API, namespace: str) -> None:
    assert run(api_access) == []
    assert api.get(RECORD) is None


def test_another_version_of_a_kind_is_the_same_object(api_access: dict[str, Any], api: API, namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1"}))
    api.request("PATCH", RECORD, {"data": {OWNER: record(api).replace('"v1"', '"v1alpha1"')}}, MERGE)
    assert run(api_access, config_map(namespace, {"a": "1"})) == [f"change ConfigMap kube-system/{prune.RECORD}"]
    assert there(api, namespace, "settings")


def record(api: API) -> str:
    return str((api.get(RECORD) or {})["data"][OWNER])


def test_an_object_that_existed_before_stays(api_access: dict[str, Any], api: API, namespace: str) -> None:
    theirs = config_map(namespace, {"theirs": "x"})
    api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", theirs)
    run(api_access, config_map(namespace, {"a": "1"}))
    result = whole(api_access)
    assert said(result["changes"]) == [f"change ConfigMap kube-system/{prune.RECORD}"]
    (notice,) = result["notices"]
    assert notice.startswith(f"ConfigMap {namespace}/settings left {OWNER} and stays: it has no label")
    assert there(api, namespace, "settings")
    assert whole(api_access)["notices"] == []


def test_an_object_that_lost_the_label_stays(api_access: dict[str, Any], api: API, namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1"}))
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    api.request("PATCH", path, {"metadata": {"labels": {prune.LABEL: None}}}, MERGE)
    assert not [change for change in run(api_access) if change.startswith("delete")]
    assert there(api, namespace, "settings")


def test_a_label_alone_deletes_nothing(api_access: dict[str, Any], api: API, namespace: str) -> None:
    """Everybody who may create objects may give them the label; the record is out of their reach."""
    labels = {"labels": {prune.LABEL: OWNER}}
    api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, {}, name="x", **labels))
    run(api_access, config_map(namespace, {"a": "1"}))
    run(api_access)
    assert there(api, namespace, "x")


def test_an_object_made_again_by_somebody_else_stays(api_access: dict[str, Any], api: API, namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1"}))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.request("DELETE", f"{path}/settings")
    api.request("POST", path, config_map(namespace, {"b": "2"}))
    run(api_access)
    assert there(api, namespace, "settings")


@pytest.mark.parametrize("killed_in", ["_apply", "finish", "_write"])
def test_a_run_that_is_cut_short(
    api_access: dict[str, Any], api: API, namespace: str, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    """Before an apply, after all, and between the deletion and the record: the next run finds what was created."""
    old, new = (config_map(namespace, {"a": "1"}, name=name) for name in ("old", "new"))
    run(api_access, old)
    with monkeypatch.context() as patch:
        where = manifests.Application if killed_in == "_apply" else prune
        whole_one, calls = getattr(where, killed_in), []

        def cut(*arguments: Any) -> Any:
            calls.append(arguments)
            if killed_in == "_write" and len(calls) == 1:
                return whole_one(*arguments)
            raise KeyboardInterrupt

        patch.setattr(where, killed_in, cut)
        with pytest.raises(KeyboardInterrupt):
            run(api_access, new)
    # Another list by now: neither the old nor the new one is in it.
    run(api_access, config_map(namespace, {}, name="third"))
    assert [name for name in ("old", "new", "third") if there(api, namespace, name)] == ["third"]


def test_a_refused_object_deletes_nothing(api_access: dict[str, Any], api: API, namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1"}))
    wrong = config_map(namespace, {}, name="wrong") | {"data": {"not/valid": "x"}}
    with pytest.raises(HostError, match="not/valid"):
        run(api_access, wrong)
    assert there(api, namespace, "settings")
    run(api_access)
    assert there(api, namespace, "settings") is None


def test_a_damaged_record_is_an_error(api_access: dict[str, Any], api: API, namespace: str) -> None:
    run(api_access, config_map(namespace, {"a": "1"}))
    for damaged in ("[", "{}", '[{"kind": "Pod"}]'):
        api.request("PATCH", RECORD, {"data": {OWNER: damaged}}, MERGE)
        with pytest.raises(HostError, match=f"the entry {OWNER} is damaged"):
            run(api_access)
        assert prune.asked(api, OWNER, []) == []


def claim(namespace: str) -> Document:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return config_map(namespace, {}, name="files") | {"kind": "PersistentVolumeClaim", "spec": spec, "data": None}


def stateful(namespace: str, policy: str) -> Document:
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "db", "image": "db"}]}}
    kept = {"whenDeleted": policy, "whenScaled": "Retain"}
    spec = {"serviceName": "db", "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "db", "namespace": namespace}
    whole_spec = spec | {"persistentVolumeClaimRetentionPolicy": kept}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": whole_spec}


def test_data_is_deleted_only_where_that_was_agreed_to(api_access: dict[str, Any], api: API, namespace: str) -> None:
    name = f"new-{uuid.uuid4().hex[:8]}"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    widget, definition = widgets(name)
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    volume["spec"] = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    data = claim(namespace)
    del data["data"]
    run(api_access, space, definition, widget, volume, data, stateful(namespace, "Delete"), config_map(namespace, {}))
    losses = [
        f"Widget {name}/one: its controller may delete data with it",
        f"CustomResourceDefinition widgets.{name}.example.org: 1 object of this kind is deleted with it",
        f"Namespace {name}: all objects in it are deleted",
        f"PersistentVolume {name}: the data of the volume may be deleted",
        f"PersistentVolumeClaim {namespace}/files: the data of the volume may be deleted",
        f"StatefulSet {namespace}/db: its volume claims are deleted with it",
    ]
    assert sorted(prune.asked(api, OWNER, [])) == sorted(losses)
    assert prune.asked(api, OWNER, prune.entries([space, definition, widget, volume, data])) == [losses[-1]]
    with pytest.raises(HostError, match="would be deleted with their data") as refused:
        run(api_access)
    assert all(loss in str(refused.value) for loss in losses)
    assert there(api, namespace, "settings")
    planned = run(api_access, check=True)
    assert run(api_access, confirm=True) == planned
    # What is needed by others goes last.
    assert planned[-1] == f"delete Namespace {name}"
    assert there(api, namespace, "settings") is None
    assert run(api_access) == []


def test_no_data_goes_with_a_stateful_set_that_keeps_its_claims(
    api_access: dict[str, Any], api: API, namespace: str
) -> None:
    run(api_access, stateful(namespace, "Retain"))
    assert prune.asked(api, OWNER, []) == []
    assert run(api_access)[-1] == f"delete StatefulSet {namespace}/db"


def test_before_the_first_run_everything_is_created(api_access: dict[str, Any]) -> None:
    access = api_access | {"server": "https://127.0.0.1:1"}
    items = [{"object": config_map("x", {"a": "1"}), "place": "document 1"}]
    spec = {"check": True, "patience": 0.1, "objects": items, "nodes": {}, "owner": OWNER, "prune_confirm": False}
    result = manifests.main(rooted(access) | spec | {"wait_for": {}})
    assert said(result["changes"]) == ["create ConfigMap x/settings", f"create ConfigMap kube-system/{prune.RECORD}"]
    assert result["changes"][0]["after"]["metadata"]["labels"] == {prune.LABEL: OWNER}
