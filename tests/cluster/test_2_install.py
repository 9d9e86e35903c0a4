"""The install: real components, real pods, seen from outside."""

from __future__ import annotations

import json

import pytest

from tests.cluster.conftest import INVENTORY
from tests.clusters import Cluster
from tests.lab import recap


def test_every_service_runs_and_comes_back_at_boot(cluster: Cluster) -> None:
    for name in cluster.addresses:
        host = cluster.host(name)
        for unit in cluster.units(name):
            service = host.service(unit)
            assert service.is_running, (
                f"{name}: {unit} is down:\n{cluster.sh(name, f'journalctl -u {unit} -n 30 --no-pager')}"
            )
            assert service.is_enabled, f"{name}: {unit} would not start at boot"


def test_every_host_is_a_ready_node_of_the_right_version(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node for node in cluster.objects("nodes")}
    assert sorted(nodes) == sorted(cluster.addresses)
    for name, node in nodes.items():
        conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.1"
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
        assert addresses["InternalIP"] == cluster.addresses[name]


def test_control_planes_are_tainted_nodes_and_nodes_are_not(cluster: Cluster) -> None:
    for node in cluster.objects("nodes"):
        taints = [taint["key"] for taint in node["spec"].get("taints", [])]
        expected = (
            ["node-role.kubernetes.io/control-plane"] if node["metadata"]["name"] in cluster.control_plane else []
        )
        assert taints == expected


def test_verify_finds_nothing_wrong_and_leaves_nothing_behind(cluster: Cluster) -> None:
    before = cluster.kubectl("get", "namespaces", "-o", "name")
    cluster.command("verify", "-i", INVENTORY)
    assert cluster.kubectl("get", "namespaces", "-o", "name") == before


def test_status_shows_every_host(cluster: Cluster) -> None:
    said = cluster.command("status", "-i", INVENTORY)
    assert all(name in said for name in cluster.addresses)


def test_keys_of_authorities_are_on_the_controller_alone(cluster: Cluster) -> None:
    pki = INVENTORY / ".kubeinstall" / "pki"
    keys = list(pki.rglob("*.key"))
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert (pki / "kubernetes" / "ca.key").is_file()
    for name in cluster.addresses:
        assert "ca.key" not in cluster.sh(name, "find /etc -name '*.key'")
        open_keys = "find /etc/kubernetes /etc/etcd -name '*.key' ! -perm 0600 2>/dev/null || true"
        assert cluster.sh(name, open_keys) == ""


def test_secrets_are_encrypted_in_etcd(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=swordfish")
    etcdctl = (
        "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt"
        " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
    )
    try:
        stored = cluster.sh(
            cluster.control_plane[0], f"{etcdctl} get /registry/secrets/default/hidden | tr -cd '[:print:]'"
        )
    finally:
        cluster.kubectl("delete", "secret", "hidden")
    assert "k8s:enc:secretbox" in stored
    assert "swordfish" not in stored


def test_strangers_learn_nothing_but_health(cluster: Cluster) -> None:
    address = cluster.addresses[cluster.control_plane[0]]
    curl = "curl -sk -o /dev/null -w '%{http_code}'"
    assert cluster.sh(cluster.nodes[0], f"{curl} https://{address}:6443/readyz") == "200"
    assert cluster.sh(cluster.nodes[0], f"{curl} https://{address}:6443/version") == "401"
    assert cluster.sh(cluster.nodes[0], f"{curl} https://{address}:10250/pods") == "401"


def test_logs_and_exec_reach_the_kubelets(cluster: Cluster) -> None:
    pod = cluster.objects("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")[0]["metadata"]["name"]
    assert "CoreDNS" in cluster.kubectl("logs", "-n", "kube-system", pod)


def test_a_journal_of_the_run_is_kept_without_secrets(cluster: Cluster) -> None:
    runs = sorted((INVENTORY / ".kubeinstall" / "runs").iterdir())
    assert runs
    assert {path.stat().st_mode & 0o777 for path in runs} == {0o700}
    secrets = [
        (INVENTORY / ".kubeinstall" / "pki" / name).read_text().strip()
        for name in ("encryption.key", "service-account.key")
    ]
    for path in (path for run in runs for path in run.rglob("*") if path.is_file()):
        text = path.read_text(errors="replace")
        for secret in secrets:
            assert secret.splitlines()[-2 if "\n" in secret else 0] not in text, f"{path} holds a secret"


def test_a_second_run_changes_nothing_and_restarts_nothing(cluster: Cluster) -> None:
    before = cluster.invocations()
    hosts = recap(cluster.playbook("site"))
    assert sorted(hosts) == sorted(cluster.addresses)
    assert {name: counts["changed"] for name, counts in hosts.items()} == dict.fromkeys(hosts, 0)
    assert cluster.invocations() == before


def test_check_and_diff_are_clean_afterwards(cluster: Cluster) -> None:
    text = cluster.playbook("site", "--check", "--diff")
    assert {counts["changed"] for counts in recap(text).values()} == {0}
    assert "+++" not in text


@pytest.mark.parametrize("role", ["flannel", "etcd", "kubelet"])
def test_a_role_alone_by_plain_ansible(cluster: Cluster, role: str) -> None:
    cluster.changes_nothing(role)


def test_the_kubeconfig_serves_any_kubectl(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("out") / "config"
    cluster.command("kubeconfig", "-i", INVENTORY, "--out", path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(cluster.kubectl("--kubeconfig", path, "get", "--raw", "/version"))["gitVersion"] == "v1.37.1"


def test_a_pod_of_the_hosts_network_is_refused_outside_of_kube_system(cluster: Cluster) -> None:
    spec = json.dumps({"spec": {"hostNetwork": True}})
    run = ("run", "intruder", "--image=none", "--dry-run=server", f"--overrides={spec}")
    assert 'violates PodSecurity "baseline:latest"' in cluster.kubectl(*run, "--namespace=default", code=1)
    assert "created" in cluster.kubectl(*run, "--namespace=kube-system")
