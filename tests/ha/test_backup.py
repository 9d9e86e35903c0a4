"""What was backed up is there again after it was destroyed; what is no backup of this cluster changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubeinstall import backups
from kubeinstall.pki import PKI
from tests.clusters import Cluster
from tests.ha.state import whole
from tests.lab import eventually

CA = "/registry/configmaps/kube-system/kube-root-ca.crt"


@pytest.fixture(scope="module")
def backup(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the cluster with a ConfigMap `treasure` and a Secret `hidden` in it."""
    cluster.kubectl("create", "configmap", "treasure", "--from-literal=is=here")
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=swordfish")
    path = tmp_path_factory.mktemp("backup") / "one.db"
    cluster.command("etcd", "backup", "-i", cluster.inventory, "--to", path)
    return path


def restore(cluster: Cluster, path: Path, code: int = 0) -> str:
    return cluster.command("etcd", "restore", "-i", cluster.inventory, path, "--yes", code=code)


def names(cluster: Cluster, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in cluster.objects(kind, "-n", "default")}


def as_it_was(cluster: Cluster) -> None:
    """What was backed up is there, what came later is not, and clients that watched before see what comes now."""
    assert {"treasure", "hidden"} <= names(cluster, "configmaps") | names(cluster, "secrets")
    assert "later" not in names(cluster, "configmaps")
    word = cluster.kubectl("get", "secret", "hidden", "-o", "jsonpath={.data.word}")
    assert word == "c3dvcmRmaXNo"
    # Its pods start and end by the watches of controllers, schedulers and kubelets that were there all the time.
    whole(cluster)


def stores(cluster: Cluster) -> dict[str, str]:
    return {name: cluster.sh(name, "ls /var/lib/etcd") for name in cluster.etcd}


def test_a_backup_is_private_and_comes_with_its_facts(cluster: Cluster, backup: Path) -> None:
    facts = json.loads(backups.facts_file(backup).read_text())
    assert backup.stat().st_mode & 0o777 == backups.facts_file(backup).stat().st_mode & 0o777 == 0o600
    formed = PKI(cluster.inventory / ".kubeinstall" / "pki").formed
    assert formed is not None
    assert facts["cluster_id"] == formed["cluster_id"]
    assert facts["keys"] > 100
    assert b"swordfish" not in backup.read_bytes()
    assert [cluster.sh(name, "ls /var/lib/kubeinstall | grep -v json || true") for name in cluster.etcd] == [""] * 3


def test_any_healthy_member_serves_for_a_backup(cluster: Cluster, tmp_path: Path) -> None:
    first, *others = cluster.etcd
    cluster.sh(first, "systemctl stop etcd")
    try:
        cluster.playbook("etcd_backup", "-e", f"backup_file={tmp_path / 'two.db'}")
    finally:
        cluster.sh(first, "systemctl start etcd")
    assert backups.read(tmp_path / "two.db").facts["member"] in others
    whole(cluster)


def test_what_was_deleted_since_is_there_again(cluster: Cluster, backup: Path) -> None:
    cluster.kubectl("delete", "configmap/treasure", "secret/hidden")
    cluster.kubectl("create", "configmap", "later")
    before = int(
        cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/configmaps/later").count("resourceVersion")
    )
    assert before
    # What a client that watches is told of the time before: that it has to list anew.
    version = cluster.objects("configmaps")[0]["metadata"]["resourceVersion"]
    said = restore(cluster, backup)
    assert "is kept on the members, in /var/lib/etcd/before-restore-" in said
    old = f"/api/v1/configmaps?watch=true&timeoutSeconds=5&resourceVersion={version}"
    assert '"reason":"Expired"' in cluster.kubectl("get", "--raw", old, code=None)
    as_it_was(cluster)
    assert all("before-restore-" in listed for listed in stores(cluster).values())


def test_a_store_that_is_lost_on_all_members_is_there_again(cluster: Cluster, backup: Path) -> None:
    for name in cluster.etcd:
        cluster.sh(name, "systemctl stop etcd; rm -rf /var/lib/etcd/*")
    assert "would begin a second, empty cluster" in cluster.apply(code=1)
    cluster.playbook("etcd_restore", "-e", f"restore_file={backup}", "-e", "restore_confirm=yes")
    as_it_was(cluster)


@pytest.fixture
def foreign(cluster: Cluster, backup: Path, tmp_path: Path) -> Path:
    """A whole snapshot, of a cluster with another authority: ours, with another ConfigMap in a store of its own."""
    other = PKI(tmp_path / "pki")
    other.ensure()
    host, folder = cluster.etcd[0], "/var/tmp/foreign"
    endpoint = f"unix://{folder}/c"
    cluster.sh(
        host,
        f"mkdir -m 0700 {folder}; cd {folder}; nohup etcd --data-dir=data --listen-client-urls={endpoint}"
        f" --listen-peer-urls=unix://{folder}/p --advertise-client-urls=http://localhost:1 >log 2>&1 </dev/null &"
        f" echo $! >{folder}/pid",
    )
    try:
        asked = f"etcdctl --endpoints={endpoint}"
        eventually(lambda: cluster.host(host).run(f"{asked} get x").rc == 0, 30, "the other etcd serves")
        cluster.sh(host, f"{asked} put {CA} <<'EOF'\n{other.read('kubernetes/ca.crt')}\nEOF")
        cluster.sh(host, f"{asked} snapshot save {folder}/foreign.db")
        content = cluster.host(host).run(f"base64 {folder}/foreign.db").stdout
    finally:
        cluster.sh(host, f"kill $(cat {folder}/pid); rm -rf {folder}")
    path = tmp_path / "foreign.db"
    path.write_bytes(subprocess.run(["base64", "-d"], input=content.encode(), capture_output=True, check=True).stdout)
    return path


@contextmanager
def nothing_changes(cluster: Cluster) -> Iterator[None]:
    before, running = stores(cluster), cluster.invocations()
    yield
    assert (stores(cluster), cluster.invocations()) == (before, running)


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_backup_is_refused(cluster: Cluster, backup: Path, tmp_path: Path, damage: str) -> None:
    content, middle = backup.read_bytes(), backup.stat().st_size // 2
    damaged = content[:middle] if damage == "truncated" else content[:middle] + b"altered" + content[middle + 7 :]
    path = tmp_path / "damaged.db"
    path.write_bytes(damaged)
    with nothing_changes(cluster):
        assert "the snapshot does not restore, so it is truncated, altered or none at all" in restore(cluster, path, 1)
        backups.facts_file(path).write_bytes(backups.facts_file(backup).read_bytes())
        assert "this is not the file that was backed up" in restore(cluster, path, 2)


def test_a_backup_under_another_encryption_key_is_refused(cluster: Cluster, backup: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(backup.read_bytes())
    facts = json.loads(backups.facts_file(backup).read_text())
    assert facts["encryption_key"] == PKI(cluster.inventory / ".kubeinstall" / "pki").key_digest()
    backups.facts_file(path).write_text(json.dumps(facts | {"encryption_key": "another"}))
    before = stores(cluster)
    assert "made under another encryption key" in restore(cluster, path, code=2)
    # Without the command too.
    output = cluster.playbook("etcd_restore", "-e", f"restore_file={path}", "-e", "restore_confirm=yes", code=2)
    assert "made under another encryption key" in output
    assert stores(cluster) == before


def test_another_clusters_backup_is_refused(cluster: Cluster, foreign: Path) -> None:
    with nothing_changes(cluster):
        assert "the snapshot is another cluster's" in restore(cluster, foreign, 1)


def test_a_member_that_does_not_come_up_gives_all_of_them_their_store_back(cluster: Cluster, backup: Path) -> None:
    victim, drop_in = cluster.etcd[-1], "/etc/systemd/system/etcd.service.d"
    cluster.kubectl("create", "configmap", "later")
    kept = stores(cluster)
    # It starts from its own store alone.
    condition = "[Service]\nExecStartPre=/bin/sh -c 'test -e /var/lib/etcd/default.etcd/mine'"
    cluster.sh(victim, f'touch /var/lib/etcd/default.etcd/mine; mkdir {drop_in}; echo "{condition}" >{drop_in}/x.conf')
    cluster.sh(victim, "systemctl daemon-reload")
    try:
        output = restore(cluster, backup, 1)
    finally:
        cluster.sh(victim, f"rm -r {drop_in} /var/lib/etcd/default.etcd/mine; systemctl daemon-reload")
    assert "Nothing was restored. Every member has the data that it had when this command began" in output
    assert "later" in names(cluster, "configmaps")
    assert stores(cluster) == kept
    cluster.kubectl("delete", "configmap", "later")
    whole(cluster)


def test_certificates_are_listed_and_renewed_host_by_host(cluster: Cluster) -> None:
    def listed() -> dict[tuple[str, str], str]:
        said = json.loads(cluster.command("certs", "-i", cluster.inventory, "--json"))
        assert said["problems"] == []
        return {(one["host"], one["path"]): one["expires"] for one in said["certificates"]}

    def serial(name: str) -> str:
        return cluster.sh(name, "openssl x509 -noout -serial -in /etc/kubernetes/pki/kubelet.crt")

    before, serials = listed(), {name: serial(name) for name in cluster.addresses}
    assert {host for host, _ in before} == {"controller", *cluster.addresses}
    foreseen = cluster.command("certs", "renew", "-i", cluster.inventory, "--check")
    assert "certificate /etc/kubernetes/pki/kubelet.crt" in foreseen
    assert listed() == before
    cluster.command("certs", "renew", "-i", cluster.inventory)
    after = listed()
    assert after.keys() == before.keys()
    assert {name for name in cluster.addresses if serial(name) == serials[name]} == set()
    authorities = {key for key in before if key[1].endswith("/ca.crt")}
    assert {key: before[key] for key in authorities} == {key: after[key] for key in authorities}
    whole(cluster)
