"""The way back: flannel to the API, etcd to everybody who has a certificate; and the way there on a living cluster."""

from __future__ import annotations

import json
from pathlib import Path

from tests.classic.state import asked_all_the_time, leases, wish
from tests.clusters import Cluster
from tests.ha.state import ETCDCTL, whole

SHOP = {"shop": {"prefix": "/apps/shop/"}}


def users(cluster: Cluster) -> tuple[bool, list[str], list[str]]:
    """Whether etcd lets in nobody but its users, these, and its roles."""
    first = cluster.etcd[0]
    said = json.loads(cluster.sh(first, f"{ETCDCTL} auth status --write-out=json"))
    names, roles = (cluster.sh(first, f"{ETCDCTL} {kind} list").split() for kind in ("user", "role"))
    return bool(said.get("enabled")), names, roles


def shares(cluster: Cluster) -> dict[str, str]:
    lines = {name: cluster.sh(name, "grep FLANNEL_SUBNET /run/flannel/subnet.env") for name in cluster.addresses}
    return {name: line.strip() for name, line in lines.items()}


def test_flannel_goes_back_to_the_api_and_the_shop_stays(cluster: Cluster) -> None:
    before = shares(cluster)
    wish(cluster, etcd_application_users=SHOP)
    with asked_all_the_time(cluster, "flannel's shares from etcd to the API"):
        said = " ".join(cluster.apply().split())
    assert "flannel_subnet_manager changes from etcd to kube" in said
    assert shares(cluster) == before
    enabled, names, _ = users(cluster)
    assert enabled
    assert "flannel" not in names
    assert cluster.sh(cluster.etcd[0], f"{ETCDCTL} get /coreos.com/ --prefix --keys-only").strip() == ""
    whole(cluster)


def test_without_anybody_who_needs_users_there_are_none(cluster: Cluster) -> None:
    wish(cluster)
    cluster.apply()
    assert users(cluster) == (False, [], [])
    assert cluster.sh(cluster.etcd[0], f"{ETCDCTL} get /apps/ --prefix --keys-only").split() == ["/apps/shop/greeting"]
    whole(cluster)


def test_users_that_a_restore_brings_back_are_taken_away_again(cluster: Cluster, tmp_path: Path) -> None:
    wish(cluster, etcd_application_users=SHOP)
    cluster.apply()
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--to", tmp_path / "one.db")
    wish(cluster)
    cluster.apply()
    cluster.command("etcd", "restore", "-i", cluster.inventory, tmp_path / "one.db", "--yes")
    assert users(cluster)[0] is True
    cluster.apply()
    assert users(cluster) == (False, [], [])
    whole(cluster)


def test_flannel_goes_to_etcd_on_the_living_cluster(cluster: Cluster) -> None:
    before = shares(cluster)
    wish(cluster, flannel_subnet_manager="etcd", etcd_application_users=SHOP)
    with asked_all_the_time(cluster, "flannel's shares from the API to etcd"):
        cluster.apply()
    assert shares(cluster) == before
    assert set(leases(cluster, cluster.etcd[0])) == set(cluster.addresses.values())
    enabled, names, _ = users(cluster)
    assert enabled
    assert names == ["etcd-healthcheck-client", "flannel", "kube-apiserver-etcd-client", "root", "shop"]
    whole(cluster)


def test_clients_that_are_not_let_in_end_it(cluster: Cluster) -> None:
    """An API server that is away when authentication is to be enabled: whether it is let in would not be known."""
    wish(cluster)
    cluster.apply()
    wish(cluster, etcd_application_users=SHOP)
    (name,) = cluster.control_plane
    cluster.sh(name, "systemctl stop kube-apiserver")
    try:
        said = " ".join(cluster.playbook("etcd_users", code=2).split())
        assert "its authentication was disabled again" in said
        assert users(cluster)[0] is False
    finally:
        cluster.sh(name, "systemctl start kube-apiserver")
    cluster.apply()
    assert users(cluster)[0] is True
    whole(cluster)
