"""Members without their data stay down, interrupted restores are completed, and one survivor is enough to recover.

On a lab of its own, three control planes and nothing else. The tests run in their order: the last ones end the cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubeinstall import lab as labs
from kubeinstall.pki import PKI
from kubeinstall.restores import cluster_id
from tests.clusters import ROOT, Cluster, lab_of
from tests.etcd_data import boot_without_data
from tests.ha.state import ETCDCTL, whole
from tests.lab import BIN, descendants, eventually, kill

NAME = "test-etcd-data"


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three control planes with their cluster, which holds the ConfigMap `treasure`."""
    with lab_of(NAME, "--control-planes", "3", "--nodes", "0", keep=request.config.getoption("--keep-lab")) as lab:
        lab.apply()
        lab.kubectl("create", "configmap", "treasure", "--from-literal=is=here", code=None)
        yield lab


@pytest.fixture(scope="module")
def backup(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "one.db"
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--to", path)
    return path


def names(cluster: Cluster) -> set[str]:
    return {item["metadata"]["name"] for item in cluster.objects("configmaps", "-n", "default")}


def formed(cluster: Cluster) -> dict[str, object]:
    found = PKI(cluster.inventory / ".kubeinstall" / "pki").formed
    assert found is not None
    return found


def own_id(cluster: Cluster) -> str:
    (endpoint,) = json.loads(cluster.sh(cluster.etcd[0], f"{ETCDCTL} endpoint status --write-out=json"))
    return f"{endpoint['Status']['header']['cluster_id']:x}"


def test_the_id_of_a_cluster_comes_from_a_token_of_its_own(cluster: Cluster) -> None:
    found = own_id(cluster)
    assert formed(cluster)["cluster_id"] == found
    # What the name alone, and so every bootstrap of these hosts, would give.
    assert cluster_id("kubernetes", [cluster.addresses[name] for name in cluster.etcd]) != found
    for name in cluster.etcd:
        cluster.sh(name, "! ls /run/kubeinstall/etcd-bootstrap /etc/etcd/etcd.conf")


@pytest.mark.parametrize("count", [1, 2], ids=["one of three", "two of three"])
def test_members_that_boot_without_their_data_stay_down(cluster: Cluster, count: int) -> None:
    with boot_without_data(cluster, cluster.etcd[-count:]):
        if count == 1:
            assert "treasure" in names(cluster)
    eventually(lambda: "treasure" in names(cluster), what="the data is there again")
    whole(cluster)


def killed_restore(cluster: Cluster, path: Path, task: str) -> None:
    """`kubeinstall etcd restore`, killed with every process below it as soon as the task has begun."""
    runs = cluster.inventory / ".kubeinstall" / "runs"
    known = set(runs.glob("*/journal.jsonl"))
    command: list[str | Path] = [BIN / "kubeinstall", "etcd", "restore", "-i", cluster.inventory, path, "--yes"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:

        def begun() -> bool:
            assert process.poll() is None, f"it ended before `{task}`"
            new = set(runs.glob("*/journal.jsonl")) - known
            return any(task in line and '"task"' in line for one in new for line in one.read_text().splitlines())

        deadline = time.monotonic() + 300
        while not begun():
            assert time.monotonic() < deadline, f"`{task}` did not begin"
            time.sleep(0.02)
        time.sleep(0.2)
        kill(descendants(process.pid))


@pytest.mark.parametrize(
    "task",
    [
        "Stop all members",
        "Put the store until now aside, and the restored one in its place",
        "Wait until each member serves",
        "Record the id that the cluster has now",
    ],
)
def test_a_restore_that_is_killed_is_completed_by_the_next_run(cluster: Cluster, backup: Path, task: str) -> None:
    cluster.kubectl("create", "configmap", "later", code=None)
    before = formed(cluster)
    killed_restore(cluster, backup, task)
    cluster.apply()
    after = formed(cluster)
    assert "restoring" not in after
    assert after["cluster_id"] == own_id(cluster)
    # All of the backup, or all that was there before it.
    assert ("later" in names(cluster)) == (after["cluster_id"] == before["cluster_id"])
    assert "treasure" in names(cluster)
    whole(cluster)


def test_revisions_go_up_with_each_restore_and_another_control_node_is_told(
    cluster: Cluster, backup: Path, tmp_path: Path
) -> None:
    copy = tmp_path / NAME
    shutil.copytree(cluster.inventory, copy)

    def revision() -> int:
        return int(json.loads(cluster.kubectl("get", "--raw", "/api/v1/namespaces"))["metadata"]["resourceVersion"])

    seen = [revision()]
    for _ in range(2):
        cluster.command("etcd", "restore", "-i", cluster.inventory, backup, "--yes")
        seen.append(revision())
    assert seen == sorted(set(seen))
    output = " ".join(cluster.command("apply", "-i", copy, code=1).split())
    assert "the cluster was restored with another copy of that directory" in output
    assert "Copy formed.json from the control node that did it" in output
    shutil.copy(cluster.inventory / ".kubeinstall/pki/formed.json", copy / ".kubeinstall/pki/formed.json")
    cluster.command("apply", "-i", copy)


def alone(cluster: Cluster) -> None:
    """The inventory with the first control plane alone: the others are lost for good."""
    hosts = cluster.inventory / "hosts.yml"
    listed = yaml.safe_load(hosts.read_text())
    for group in (listed["all"], *listed["all"]["children"].values()):
        group["hosts"] = {name: value for name, value in group["hosts"].items() if name == cluster.etcd[0]}
    hosts.write_text(yaml.safe_dump(listed))


def test_recovery_from_the_data_of_one_survivor(cluster: Cluster, tmp_path: Path) -> None:
    survivor, *lost = cluster.etcd
    cluster.sh(survivor, "systemctl start etcd-backup")
    for name in lost:
        labs.stop(name)
    path = tmp_path / "survivor.db"
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--from", survivor, "--to", path)
    alone(cluster)
    cluster.command("etcd", "restore", "-i", cluster.inventory, path, "--yes")
    cluster.apply()
    assert "treasure" in names(cluster)
    members = json.loads(cluster.sh(survivor, f"{ETCDCTL} member list --write-out=json"))["members"]
    assert [member["name"] for member in members] == [survivor]


def test_reset_keeps_the_backups_and_the_cluster_comes_back_from_one(cluster: Cluster, tmp_path: Path) -> None:
    survivor = cluster.etcd[0]
    kept = cluster.sh(survivor, "ls /var/lib/etcd-backup")
    assert kept
    output = cluster.command("reset", "-i", cluster.inventory, "--check")
    assert f"{survivor}: would be removed:" in output
    assert "/var/lib/etcd\n" in output
    assert f"Backups of etcd on {survivor} are kept: " in output
    assert cluster.host(survivor).service("etcd").is_running
    cluster.command("reset", "-i", cluster.inventory, "--yes")
    assert cluster.sh(survivor, "ls /var/lib/etcd-backup") == kept
    owners = cluster.sh(survivor, "stat -c %u:%a /var/lib/etcd-backup /var/lib/etcd-backup/*").split()
    assert owners == ["0:700", *["0:600"] * len(kept.split())]
    cluster.apply()
    assert "treasure" not in names(cluster)
    path = tmp_path / "stored.db"
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--from", survivor, "--stored", "--to", path)
    cluster.command("etcd", "restore", "-i", cluster.inventory, path, "--yes")
    assert "treasure" in names(cluster)
    cluster.sh(survivor, "systemctl start etcd-backup")
    cluster.command("reset", "-i", cluster.inventory, "--with-backups", "--yes")
    cluster.sh(survivor, "! ls /var/lib/etcd-backup")
