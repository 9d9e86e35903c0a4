"""What has to hold after a restart before the next host's turn, on a real API server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import rolling
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, MERGE
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import kubeconfig

from tests.unit.hostside.nodes import report

BEFORE = 1767225600.0  # 2026-01-01T00:00:00Z
CONFIG = "/etc/kubernetes/kubelet.conf"


@pytest.fixture
def host(tmp_path: Path, api_access: dict[str, Any]) -> Host:
    """A host with a kubeconfig as the component task writes it."""
    path = tmp_path / CONFIG.lstrip("/")
    path.parent.mkdir(parents=True)
    item = {"server": api_access["server"], "user": "system:node:x"}
    for key in ("authority", "certificate", "key"):
        item[key] = f"/etc/kubernetes/{Path(api_access[key]).name}"
        shutil.copy(api_access[key], path.parent)
    path.write_text(kubeconfig(item))
    return Host(str(tmp_path))


def looked(host: Host, since: float = BEFORE, *, restarted: bool = True, **condition: Any) -> list[str | None]:
    looks = rolling.looks(host, {"kubeconfig": CONFIG, **condition}, restarted=restarted)
    return [look(since) for look in looks]


def configure_network(host: Host) -> None:
    directory = Path(host.path(rolling.CNI))
    directory.mkdir(parents=True)
    (directory / "10-flannel.conflist").write_text("{}")


def test_a_node_before_there_is_a_network_is_not_asked_for(host: Host, node: str) -> None:
    assert looked(host, node=node) == []


def test_a_node_has_to_be_ready_by_a_heartbeat_since_the_start(host: Host, api: API, node: str) -> None:
    configure_network(host)
    assert looked(host, node=node) == [None]
    assert looked(host, BEFORE + 60.5, node=node) == [f"Node {node}: no heartbeat since kubelet started"]
    report(api, node, "False", "2026-01-01T00:01:00Z")
    assert looked(host, BEFORE + 60.5, node=node) == [f"Node {node}: not Ready: no network"]
    report(api, node, "True", "2026-01-01T00:01:00Z")
    assert looked(host, BEFORE + 60.5, node=node) == [None]
    assert looked(host, node="nobody") == ["Node nobody: its Node is not registered"]


def test_an_api_server_that_does_not_answer_proves_nothing(host: Host, node: str) -> None:
    configure_network(host)
    path = Path(host.path(CONFIG))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text())).replace("127.0.0.1", "127.0.0.2"))
    (output,) = looked(host, node=node)
    assert "did not answer" in str(output)
    path.write_text("")
    assert looked(host, node=node) == [f"Node {node}: {CONFIG} names no server"]


def test_a_leader_has_to_renew_its_lease_after_a_restart(host: Host, api: API) -> None:
    assert looked(host, lease="demo", restarted=False) == []
    (look,) = rolling.looks(host, {"kubeconfig": CONFIG, "lease": "demo"}, restarted=True)
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"

    def renew(holder: str, second: int) -> str | None:
        spec = {"holderIdentity": holder, "renewTime": f"2026-01-01T00:00:{second:02}.000000Z"}
        api.request("PATCH", f"{path}/demo", {"spec": spec}, MERGE)
        found: str | None = look(0.0)
        return found

    assert look(0.0) == "no leader renews the lease demo (last: none)"
    api.request("POST", path, {"metadata": {"name": "demo"}, "spec": {}})
    try:
        assert "last: none" in str(look(0.0))
        # The one that was restarted held it last.
        assert "last: one" in str(renew("one", 1))
        assert "last: one" in str(look(0.0))
        assert "last: two" in str(renew("two", 2))
        assert renew("two", 4) is None
    finally:
        api.request("DELETE", f"{path}/demo")
