"""An application with a part of etcd to itself, from a host and from a pod."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubeinstall.components import fetch, machine_architecture
from kubeinstall.images import scratch_archive
from tests.classic.state import refused, wish
from tests.clusters import Cluster
from tests.ha.state import ETCDCTL, whole
from tests.lab import BIN

IMAGE = "kubeinstall.local/etcdctl:1"
SHOP = "/run/shop"


@pytest.fixture(scope="module")
def files(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `etcd credentials` wrote for the shop."""
    out = tmp_path_factory.mktemp("credentials") / "shop"
    said = cluster.command("etcd", "credentials", "shop", "--out", out, "-i", cluster.inventory)
    assert f"https://{cluster.addresses[cluster.control_plane[0]]}:2379" in said
    return out


def test_it_reads_and_writes_its_prefix_and_nothing_else(cluster: Cluster, files: Path) -> None:
    name = cluster.control_plane[0]
    for path in files.iterdir():
        cluster.sh(name, f"umask 077; mkdir -p {SHOP}; cat > {SHOP}/{path.name} <<'EOF'\n{path.read_text()}\nEOF")
    shop = f"etcdctl --endpoints=https://127.0.0.1:2379 --cacert={SHOP}/ca.crt"
    shop += f" --cert={SHOP}/shop.crt --key={SHOP}/shop.key"
    cluster.sh(name, f"{shop} put /apps/shop/greeting hello")
    assert cluster.sh(name, f"{shop} get /apps/shop/ --prefix --print-value-only") == "hello\n"
    for command in (
        "get /registry/secrets/ --prefix --keys-only",
        "get /coreos.com/network/config",
        "get '' --prefix --keys-only",
        "put /apps/other x",
        "user list",
        "auth disable",
    ):
        assert refused(cluster, name, f"{shop} {command}"), command
    cluster.sh(name, f"rm -r {SHOP}")


def test_a_pod_reaches_it_by_a_secret(cluster: Cluster, files: Path) -> None:
    (etcdctl,) = fetch(["etcdctl"], versions={}, architecture=machine_architecture())
    image = scratch_archive(
        IMAGE, {"/etcdctl": etcdctl.path}, entrypoint=["/etcdctl"], architecture=machine_architecture()
    )
    subprocess.run([BIN / "kubeinstall", "image", "load", "-i", cluster.inventory, image], check=True)
    arguments = [f"--from-file={path}" for path in sorted(files.iterdir())]
    cluster.kubectl("create", "secret", "generic", "shop-etcd", *arguments)
    endpoints = ",".join(f"https://{address}:2379" for address in cluster.addresses.values())
    access = [f"--endpoints={endpoints}", "--cacert=/etcd/ca.crt", "--cert=/etcd/shop.crt", "--key=/etcd/shop.key"]
    container = {
        "name": "shop",
        "image": IMAGE,
        "args": [*access, "get", "/apps/shop/greeting", "--print-value-only"],
        "volumeMounts": [{"name": "etcd", "mountPath": "/etcd", "readOnly": True}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop"},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "etcd", "secret": {"secretName": "shop-etcd"}}],
            "restartPolicy": "Never",
        },
    }
    try:
        cluster.lab.kubectl("apply -f -", pod)
        cluster.lab.kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/shop --timeout=60s")
        assert cluster.kubectl("logs", "shop") == "hello\n"
    finally:
        cluster.kubectl("delete", "pod/shop", "secret/shop-etcd", "--now")


def test_one_that_is_not_wanted_any_more_is_let_in_no_more(cluster: Cluster) -> None:
    toys = {"shop": {"prefix": "/apps/shop/"}, "toys": {"prefix": "/apps/toys/"}}
    for applications in (toys, {"shop": toys["shop"]}):
        wish(cluster, flannel_subnet_manager="etcd", etcd_application_users=applications)
        cluster.apply()
        users = cluster.sh(cluster.etcd[0], f"{ETCDCTL} user list").split()
        assert {"shop", "toys"} & set(users) == set(applications)
    # What it wrote is its owner's.
    assert cluster.sh(cluster.etcd[0], f"{ETCDCTL} get /apps/ --prefix --keys-only").split() == ["/apps/shop/greeting"]
    whole(cluster)


def test_a_user_that_somebody_else_made_is_left_alone(cluster: Cluster) -> None:
    first = cluster.etcd[0]
    for command in ("role add theirs", "user add theirs --no-password", "user grant-role theirs theirs"):
        cluster.sh(first, f"{ETCDCTL} {command}")
    try:
        wish(cluster, flannel_subnet_manager="etcd", etcd_application_users={"theirs": {"prefix": "/apps/theirs/"}})
        said = " ".join(cluster.apply(code=1).split())
        assert "the etcd user theirs is there already, and was not made by kubeinstall" in said
        wish(cluster, flannel_subnet_manager="etcd", etcd_application_users={"shop": {"prefix": "/apps/shop/"}})
        cluster.apply()
        assert "theirs" in cluster.sh(first, f"{ETCDCTL} user list").split()
    finally:
        for command in ("user delete theirs", "role delete theirs"):
            cluster.sh(first, f"{ETCDCTL} {command}")
    whole(cluster)
