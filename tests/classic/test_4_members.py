"""Whatever else speaks to etcd is let in as before: backups and their restore, members and nodes that come and go."""

from __future__ import annotations

import json
from pathlib import Path

from tests.classic.state import leases
from tests.clusters import Cluster
from tests.ha.state import ETCDCTL, leader, runs_with, whole


def enabled(cluster: Cluster) -> bool:
    return bool(json.loads(cluster.sh(cluster.etcd[0], f"{ETCDCTL} auth status --write-out=json")).get("enabled"))


def test_a_backup_is_taken_and_restored_with_its_users(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubectl("create", "configmap", "treasure", "--from-literal=is=here")
    backup = tmp_path / "one.db"
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--to", backup)
    cluster.sh(cluster.nodes[0], "systemctl start etcd-backup.service")
    cluster.kubectl("delete", "configmap", "treasure")
    cluster.command("etcd", "restore", "-i", cluster.inventory, backup, "--yes")
    cluster.kubectl("delete", "configmap", "treasure")
    assert enabled(cluster)
    whole(cluster)


def test_members_are_restarted_in_turns(cluster: Cluster) -> None:
    more = {"max-txn-ops": "129"}
    cluster.playbook("etcd", "-e", json.dumps({"etcd_extra_arguments": more}))
    assert runs_with(cluster, "etcd", "--max-txn-ops=129") == cluster.etcd
    cluster.playbook("etcd")
    whole(cluster)


def lead(cluster: Cluster, name: str) -> None:
    """Have this host's member lead etcd."""
    (said,) = json.loads(cluster.sh(name, f"{ETCDCTL} endpoint status --write-out=json"))
    if (led_by := leader(cluster)) != name:
        cluster.sh(led_by, f"{ETCDCTL} move-leader {said['Status']['header']['member_id']:x}")


def test_a_member_begins_anew_from_the_others(cluster: Cluster) -> None:
    # The first member is asked, and the leader is another: with users the one can't hand a promotion on to the other.
    lead(cluster, cluster.nodes[0])
    cluster.command("etcd", "replace", "-i", cluster.inventory, cluster.nodes[1], "--yes")
    assert enabled(cluster)
    whole(cluster)


def test_a_node_leaves_with_its_lease_and_comes_back(cluster: Cluster) -> None:
    leaving = cluster.nodes[-1]
    said = cluster.command("node", "remove", "-i", cluster.inventory, leaving, "--yes")
    assert cluster.addresses[leaving] not in leases(cluster, cluster.etcd[0]), said
    cluster.command("node", "add", "-i", cluster.inventory, leaving)
    cluster.apply()
    assert cluster.addresses[leaving] in leases(cluster, cluster.etcd[0])
    whole(cluster)
