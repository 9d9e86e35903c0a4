"""Changes to the living cluster: foreseen exactly, then made, and nothing else with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import docker
import yaml

from kubeinstall.components import Pins
from kubeinstall.pki import PKI
from tests.cluster.conftest import INVENTORY
from tests.clusters import ROOT, Cluster
from tests.lab import BIN, eventually, recap


def variables(**values: Any) -> tuple[str, str]:
    return "-e", json.dumps(values)


def test_a_change_is_foreseen_exactly_and_restarts_what_it_must(cluster: Cluster) -> None:
    change = variables(kube_proxy_extra_arguments={"v": "1"})
    before = cluster.invocations()
    foreseen = cluster.playbook("site", "--check", "--diff", *change)
    assert cluster.invocations() == before
    assert foreseen.count("restart kube-proxy.service: what it reads has changed") == len(cluster.addresses)
    assert foreseen.count("--v=1") == len(cluster.addresses)
    done = cluster.playbook("site", "--diff", *change)
    assert {host: counts["changed"] for host, counts in recap(done).items()} == {
        host: counts["changed"] for host, counts in recap(foreseen).items()
    }
    restarted = {name for name, invocation in cluster.invocations().items() if before[name] != invocation}
    assert restarted == {f"{name}/kube-proxy.service" for name in cluster.addresses}
    cluster.playbook("kube_proxy")


def test_kubectl_goes_through_ssh_where_the_api_is_out_of_reach(cluster: Cluster) -> None:
    name = cluster.control_plane[0]
    # As a firewall between this machine and the cluster: only what comes from here.
    here = cluster.sh(name, "echo $SSH_CLIENT").split()[0]
    chain = "add table inet firewall; add chain inet firewall in { type filter hook input priority -300; }"
    rule = f"add rule inet firewall in ip saddr {here} tcp dport 6443 reject"
    cluster.sh(name, f"nft '{chain}; {rule}'")
    try:
        said = cluster.kubectl("get", "nodes", "--no-headers")
        assert f"going through SSH to {name}" in said
        assert said.count(" Ready ") == len(cluster.addresses)
        assert "NotFound" in cluster.kubectl("get", "node", "nobody", code=1)
        assert "does its work" in cluster.command("verify", "-i", cluster.inventory)
        assert "every node Ready" in cluster.command("status", "-i", cluster.inventory)
    finally:
        cluster.sh(name, "nft delete table inet firewall")
    assert "going through SSH" not in cluster.kubectl("get", "nodes")


def test_static_manifests_run_and_go_when_they_are_taken_out(cluster: Cluster) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        # Elsewhere Pod Security refuses the host's network, and the API would not show the pod.
        "metadata": {"name": "still", "namespace": "kube-system"},
        "spec": {"hostNetwork": True, "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10.1"}]},
    }
    name, namespace = cluster.nodes[0], ("--namespace", "kube-system")
    before = cluster.invocations()
    cluster.playbook("kubelet", "--limit", name, *variables(kubelet_static_manifests=[pod]))
    eventually(
        lambda: "Running" in cluster.kubectl("get", "pod", f"still-{name}", *namespace, "--no-headers", code=None),
        what="the static pod runs",
    )
    cluster.playbook("kubelet", "--limit", name)
    eventually(
        lambda: "NotFound" in cluster.kubectl("get", "pod", f"still-{name}", *namespace, code=None),
        what="the static pod is gone",
    )
    assert cluster.invocations() == before


def test_labels_taints_and_the_users_manifests_are_applied_and_taken_back(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    wanted = variables(
        node_labels={"rack": "7"},
        node_taints=[{"key": "gpu", "value": "yes", "effect": "PreferNoSchedule"}],
        cluster_manifests=[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"a": "b"}}],
    )
    cluster.playbook("cluster_manifests", *wanted)
    node = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    assert node["metadata"]["labels"]["rack"] == "7"
    assert node["spec"]["taints"] == [{"key": "gpu", "value": "yes", "effect": "PreferNoSchedule"}]
    assert json.loads(cluster.kubectl("get", "configmap", "mine", "-o", "json"))["data"] == {"a": "b"}
    cluster.changes_nothing("cluster_manifests", *wanted)
    cluster.playbook("cluster_manifests")
    node = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    assert "rack" not in node["metadata"]["labels"]
    assert "taints" not in node["spec"]
    assert "NotFound" in cluster.kubectl("get", "configmap", "mine", code=None)
    cluster.changes_nothing("cluster_manifests")


def test_data_goes_with_a_manifest_only_where_that_is_allowed(cluster: Cluster) -> None:
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    cluster.playbook("cluster_manifests", *variables(cluster_manifests=[shop]))
    said = cluster.playbook("cluster_manifests", code=2)
    assert "Namespace shop: all objects in it are deleted" in said
    assert "shop" in cluster.kubectl("get", "namespaces", "-o", "name")
    cluster.playbook("cluster_manifests", *variables(prune_confirm=True))
    eventually(lambda: "shop" not in cluster.kubectl("get", "namespaces", "-o", "name"), what="the namespace is gone")
    cluster.changes_nothing("cluster_manifests")


def test_the_example_services_answer_from_outside_and_keep_what_they_are_given(cluster: Cluster) -> None:
    example = ROOT / "examples" / "two-services"
    subprocess.run([sys.executable, example / "deploy", "-i", INVENTORY], cwd=ROOT, check=True)
    for address in cluster.addresses.values():
        for port in (30080, 30081):
            answer = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", f"http://{address}:{port}/"]
            assert subprocess.run(answer, capture_output=True, check=True).stdout
    subprocess.run([sys.executable, example / "check.py", "-i", INVENTORY], cwd=ROOT, check=True)
    hosts = {pod["spec"]["nodeName"] for pod in cluster.objects("pods", "-n", "two-services")}
    assert len(hosts) > 1, "pods of one host prove nothing of the network between hosts"
    cluster.kubectl("delete", "namespace", "two-services")


def test_an_image_of_the_local_engine_reaches_every_host(cluster: Cluster, tmp_path: Path) -> None:
    reference = "kubeinstall.local/delivered:1"
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        tar.add(ROOT / "LICENSE", arcname="LICENSE")
    engine = docker.from_env()
    try:
        engine.api.import_image_from_file(str(tmp_path / "tree.tar"), repository=reference.split(":")[0], tag="1")
        cluster.command("image", "load", "-i", INVENTORY, reference)
        for name in cluster.addresses:
            assert reference in cluster.sh(name, "ctr -n k8s.io images ls -q").split()
        assert "Nothing to do" in cluster.command("image", "load", "-i", INVENTORY, reference)
        for name in cluster.addresses:
            cluster.sh(name, f"ctr -n k8s.io images rm {reference}")
    finally:
        engine.images.remove(reference, force=True)
        engine.close()


def test_a_run_with_a_limit_leaves_the_others_alone(cluster: Cluster) -> None:
    name = cluster.nodes[1]
    hosts = recap(cluster.playbook("site", "--limit", name))
    assert sorted(hosts) == [name]
    assert hosts[name]["changed"] == 0


def test_role_inputs_in_the_inventory_are_what_runs(cluster: Cluster) -> None:
    """An inventory of its own file: what the user writes there arrives in the service."""
    path = INVENTORY / "group_vars" / "all" / "of_the_test.yml"
    path.write_text(yaml.safe_dump({"kube_scheduler_extra_arguments": {"v": "2"}}))
    try:
        cluster.command("run", "-i", INVENTORY, "kube_scheduler")
        pid = "$(systemctl show -P MainPID kube-scheduler)"
        assert "--v=2" in cluster.sh(cluster.control_plane[0], f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    finally:
        path.unlink()
        cluster.command("run", "-i", INVENTORY, "kube_scheduler")


def test_a_user_with_sudo_does_what_root_does(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    cluster.sh(name, "rm /usr/local/bin/kube-proxy /etc/kubernetes/pki/proxy.key")
    as_admin = ("--limit", name, *variables(ansible_user="admin"))
    assert recap(cluster.playbook("kube_proxy", *as_admin))[name]["changed"] == 1
    assert cluster.sh(
        name, "stat -c '%U:%G %a' /usr/local/bin/kube-proxy /etc/kubernetes/pki/proxy.key"
    ).splitlines() == [
        "root:root 755",
        "root:root 600",
    ]
    assert cluster.sh(name, "find /var/tmp -name 'kubeinstall-*'") == ""
    assert recap(cluster.playbook("kube_proxy", *as_admin))[name]["changed"] == 0


def test_a_host_is_reached_through_another(cluster: Cluster) -> None:
    name, between = cluster.nodes[0], cluster.addresses[cluster.control_plane[0]]
    ssh = INVENTORY / ".kubeinstall" / "ssh"
    options = f"-o UserKnownHostsFile={ssh / 'known_hosts'} -o IdentitiesOnly=yes"
    jump = f"-o ProxyCommand='ssh -i {ssh / 'id_ed25519'} {options} -W %h:%p root@{between}'"
    through = variables(ansible_ssh_common_args=f"{options} {jump}", ansible_ssh_control_path="none")
    cluster.sh(name, "rm /usr/local/bin/kube-proxy")
    text = cluster.playbook("kube_proxy", "--limit", name, "-vvv", *through)
    assert "ProxyCommand" in text
    assert recap(text)[name]["changed"] == 1


def test_other_keys_never_reach_a_living_control_plane(cluster: Cluster, tmp_path: Path) -> None:
    """Neither where formed.json has their digests, nor on a cluster of a version that pinned none."""
    pki = PKI(INVENTORY / ".kubeinstall" / "pki")
    other, kept = PKI(tmp_path / "pki"), {}
    other.ensure()
    for name in ("formed.json", "encryption.key", "service-account.key", "service-account.pub"):
        kept[name] = (pki.directory / name).read_text()
    before = cluster.invocations()
    try:
        assert pki.pinned
        (pki.directory / "encryption.key").write_text(other.read("encryption.key"))
        assert "not the encryption.key that the cluster uses" in cluster.apply(code=2)
        formed = json.loads(kept["formed.json"])
        del formed["keys"]
        (pki.directory / "formed.json").write_text(json.dumps(formed))
        assert "/etc/kubernetes/encryption.yaml" in cluster.playbook("kube_apiserver", code=2)
        (pki.directory / "encryption.key").write_text(kept["encryption.key"])
        for name in ("service-account.key", "service-account.pub"):
            (pki.directory / name).write_text(other.read(name))
        assert "/etc/kubernetes/pki/sa.pub" in cluster.playbook("kube_apiserver", code=2)
        assert "/etc/kubernetes/pki/sa.key" in cluster.playbook("kube_controller_manager", code=2)
    finally:
        for name, text in kept.items():
            (pki.directory / name).write_text(text)
    assert cluster.invocations() == before
    cluster.changes_nothing("site")


def test_what_hosts_run_is_known_beside_the_inventory(cluster: Cluster, tmp_path: Path) -> None:
    pins = Pins(INVENTORY).read()
    names = {name for _, _, _, name in pins}
    assert {"etcd", "kube-apiserver", "kubelet", "runc", "bridge", "flanneld"} <= names
    # Another control node, whose cache is empty, agrees.
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    command = [BIN / "ansible-playbook", "-i", INVENTORY, ROOT / "playbooks/site.yml", "--check"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert {counts["changed"] for counts in recap(done.stdout).values()} == {0}, done.stdout
