"""What a node's flannel certificate can change, on a real API server with the role's permissions and policy."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import manifests, membership, notes
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, MERGE, RefusedError

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from kubeinstall.runs import run
from tests.lab import eventually
from tests.unit.hostside.nodes import report

Document = dict[str, Any]
ROOT = Path(__file__).parents[3]
STRATEGIC = "application/strategic-merge-patch+json"
WIRING: Document = yaml.safe_load((ROOT / "playbooks/vars/cluster.yml").read_text())
OURS = {"flannel.alpha.coreos.com/public-ip": "192.0.2.21", "flannel.alpha.coreos.com/backend-type": "vxlan"}
UP = {
    "type": "NetworkUnavailable",
    "status": "False",
    "reason": "FlannelIsUp",
    "message": "Flannel is running on this node",
}


@pytest.fixture(scope="module", autouse=True)
def permissions(api_access: Document, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As the playbook flannel.yml applies them."""
    folder = tmp_path_factory.mktemp("flannel")
    role = {"name": "kubeinstall.cluster.flannel", "tasks_from": "manifests"}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "module_defaults": {"kubeinstall.cluster.manifests": {**api_access, "timeout": 5}},
        "tasks": [{"name": "Apply", "ansible.builtin.import_role": role}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    (folder / "hosts").write_text(f"here ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    assert run([folder / "play.yml"], folder / "hosts").failures == ()
    again = run([folder / "play.yml"], folder / "hosts")
    assert (again.failures, again.changed) == ((), 0)


@pytest.fixture
def flannel(api_access: Document, node: str, tmp_path: Path) -> Iterator[API]:
    """The API as flannel of `node` calls it, with the certificate that the role asks for."""
    (wanted,) = yaml.safe_load((ROOT / "roles/flannel/vars/main.yml").read_text())["__flannel_access"]["kube"]
    with closing(
        caller(api_access, tmp_path, wanted["common_name"].replace("{{ inventory_hostname }}", node), wanted)
    ) as api:
        yield api


def caller(access: Document, folder: Path, user: str, wanted: Document | None = None) -> API:
    groups = tuple((wanted or {}).get("organizations", ()))
    request = CertificateRequest("kubernetes", user, groups, (), (), frozenset({"client"}))
    for name, text in zip(
        ("flannel.crt", "flannel.key"), PKI(Path(access["authority"]).parents[1]).issue(request), strict=True
    ):
        (folder / name).write_text(text)
    return API(
        access["server"], access["authority"], str(folder / "flannel.crt"), str(folder / "flannel.key"), patience=5
    )


@pytest.fixture
def another(api: API) -> Iterator[str]:
    name = f"another-{uuid.uuid4().hex[:8]}"
    api.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "annotations": {"theirs": "x"}}})
    report(api, name, "True")
    yield name
    api.request("DELETE", f"/api/v1/nodes/{name}")


def patch(api: API, name: str, kind: str = STRATEGIC, **body: Any) -> Document:
    node: Document = api.request("PATCH", f"/api/v1/nodes/{name}/status", body, kind)
    return node


def refused(change: Callable[[], object]) -> str:
    """Why the API refuses it. A policy takes effect some time after it was applied."""
    messages: list[str] = []

    def by_now() -> bool:
        try:
            change()
        except RefusedError as refusal:
            messages.append(refusal.message)
        return bool(messages)

    eventually(by_now, 10, "it is refused")
    return messages[-1]


def test_flannel_reports_on_its_own_node(api: API, flannel: API, node: str) -> None:
    refused(lambda: patch(flannel, node, metadata={"labels": {"a": "b"}}))
    assert patch(flannel, node, metadata={"annotations": OURS})["metadata"]["annotations"].items() >= OURS.items()
    assert UP["type"] in [
        one["type"] for one in patch(flannel, node, status={"conditions": [UP]})["status"]["conditions"]
    ]
    # What kubelet reported stays as it is, and is compared with each patch.
    report(api, node, "True", "2026-01-01T00:01:00Z")
    patch(flannel, node, metadata={"annotations": dict.fromkeys(OURS)})
    assert len(flannel.request("GET", "/api/v1/nodes")["items"]) > 0


@pytest.mark.parametrize(
    ("what", "body"),
    {
        "labels": {"metadata": {"labels": {"node-restriction.kubernetes.io/tier": "pci"}}},
        "annotations": {"metadata": {"annotations": {"kubeinstall/taints": "[]"}}},
        "removed annotation": {"metadata": {"annotations": {"theirs": None}}},
        "finalizers": {"metadata": {"finalizers": ["example.org/never"]}},
        "addresses": {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.66"}]}},
        "capacity": {"status": {"capacity": {"example.org/gpu": "8"}}},
        "Ready": {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        "removed Ready": {"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}},
        "kubelet version": {"status": {"nodeInfo": {"kubeletVersion": "v0"}}},
    }.items(),
)
def test_nothing_else_of_its_own_node(api: API, flannel: API, node: str, what: str, body: Document) -> None:
    before = api.request("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"annotations": {"theirs": "x"}}}, MERGE)
    message = refused(lambda: patch(flannel, node, **body))
    assert "kubeinstall-flannel" in message, message
    after = api.request("GET", f"/api/v1/nodes/{node}")
    assert {key: after["metadata"].get(key) for key in ("labels", "annotations", "finalizers")} == {
        key: before["metadata"].get(key) for key in ("labels", "annotations", "finalizers")
    }, what
    assert after["status"] == before["status"]


def test_nothing_of_another_node(api: API, flannel: API, node: str, another: str) -> None:
    for body in ({"metadata": {"annotations": OURS}}, {"status": {"conditions": [UP]}}):
        message = refused(lambda body=body: patch(flannel, another, **body))  # type: ignore[misc]
        assert f"this user can change its own Node only, not {another}" in message
    with pytest.raises(RefusedError, match="cannot patch resource"):
        flannel.request("PATCH", f"/api/v1/nodes/{node}", {"spec": {"taints": None}}, MERGE)


def test_nothing_once_its_node_was_removed(api: API, flannel: API, node: str) -> None:
    patch(flannel, node, metadata={"annotations": OURS})
    notes.write(api, membership.MARKS, {f"node.{node}": {"name": node}})
    try:
        later = {"flannel.alpha.coreos.com/public-ip": "192.0.2.66"}
        assert f"{node} was removed from the cluster" in refused(
            lambda: patch(flannel, node, metadata={"annotations": later})
        )
    finally:
        notes.remove(api, membership.MARKS, [f"node.{node}"])


# The shared user of earlier versions


def supersede(access: Document, *users: str, check: bool = False) -> Document:
    return settle(access, [], superseded=WIRING["kubeinstall_superseded"], superseded_users=list(users), check=check)


def settle(access: Document, objects: list[Document], **more: Any) -> Document:
    items = [{"object": one, "place": "here"} for one in objects]
    spec = {"check": False, "patience": 5, "objects": items, "nodes": {}, "wait_for": {"nodes": [], "deployments": []}}
    return dict(manifests.main({**access, **spec, **more}))


def test_the_shared_user_works_until_no_node_needs_it(
    api: API, api_access: Document, node: str, another: str, tmp_path: Path
) -> None:
    settle(api_access, WIRING["kubeinstall_superseded"])
    with closing(caller(api_access, tmp_path, "flannel")) as shared:
        eventually(lambda: shared.get("/api/v1/nodes"), 5, "it has its permissions")
        for name in (node, another):
            patch(shared, name, metadata={"annotations": OURS})
        assert "kubeinstall-flannel" in refused(lambda: patch(shared, another, metadata={"labels": {"tier": "pci"}}))
        found = supersede(api_access, "node-3", "node-4")
        assert found["changes"] == []
        assert found["notices"][0].startswith("ClusterRoleBinding flannel stays: node-3, node-4 may still use it.")
        predicted = supersede(api_access, check=True)["changes"]
        assert [f"{one['action']} {one['what']}" for one in predicted] == [
            "delete ClusterRoleBinding flannel",
            "delete ClusterRole flannel",
        ]
        assert supersede(api_access)["changes"] == predicted
        assert supersede(api_access)["changes"] == []
        assert "cannot patch" in refused(lambda: patch(shared, node, metadata={"annotations": {}}))


def test_an_object_of_that_name_that_others_made_stays(api: API, api_access: Document) -> None:
    """Such as those of flannel's own manifest."""
    binding = json.loads(json.dumps(WIRING["kubeinstall_superseded"][0]))
    binding["subjects"] = [{"kind": "ServiceAccount", "name": "flannel", "namespace": "kube-flannel"}]
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    api.request("POST", path, binding)
    try:
        assert supersede(api_access)["changes"] == []
        assert api.get(f"{path}/flannel")
    finally:
        api.request("DELETE", f"{path}/flannel")
