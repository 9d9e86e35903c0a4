"""Snapshots of a real etcd on loopback: proven or refused, swapped in and put back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import (
    etcd_backup,
    etcd_proof,
    etcd_restore,
    units,
)
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from kubeinstall.restores import cluster_id, target_revision
from tests.unit.hostside.conftest import free_ports, program, running

AUTHORITY = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
OTHER = AUTHORITY.replace("abc", "xyz")


@pytest.fixture(scope="module")
def programs() -> Iterator[None]:
    """etcd's programs on the PATH, as on a host."""
    folders = dict.fromkeys(str(program(name).parent) for name in ("etcd", "etcdctl", "etcdutl"))
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([*folders, before])
    yield
    os.environ["PATH"] = before


def member_of(root: Path) -> None:
    """The certificates that a member's host has."""
    pki, there = PKI(root / "pki"), root / "etc/etcd/pki"
    pki.ensure()
    there.mkdir(parents=True)
    (there / "ca.crt").write_text(pki.read("etcd/ca.crt"))
    for file, name, names, usages in (
        ("server", "a", ("localhost",), {"server", "client"}),
        ("healthcheck-client", "etcd-healthcheck-client", (), {"client"}),
    ):
        certificate, key = pki.issue(CertificateRequest("etcd", name, (), names, (), frozenset(usages)))
        (there / f"{file}.crt").write_text(certificate)
        (there / f"{file}.key").write_text(key)


@pytest.fixture
def root() -> Iterator[Path]:
    """Short, for the paths of sockets are."""
    folder = Path(tempfile.mkdtemp(prefix="k-"))
    (folder / "run").mkdir()
    member_of(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def taken(programs: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Snapshots: of an etcd with nothing of a cluster in it, and of the same one later, as a cluster's store."""
    folder = tmp_path_factory.mktemp("etcd")
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = ["etcd", f"--data-dir={folder / 'data'}", f"--listen-client-urls={client}", "--unsafe-no-fsync"]
    command += [f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
    command += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    files = {name: folder / f"{name}.db" for name in ("empty", "cluster", "users")}

    def etcdctl(*arguments: str) -> None:
        subprocess.run(["etcdctl", f"--endpoints={client}", *arguments], check=True, capture_output=True)

    with running(folder / "log", *command):
        deadline = time.monotonic() + 30
        while subprocess.run(
            ["etcdctl", f"--endpoints={client}", "get", "x"], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        etcdctl("put", "one", "1")
        etcdctl("snapshot", "save", str(files["empty"]))
        etcdctl("put", etcd_proof.AUTHORITY, f"k8s\nbinary before{AUTHORITY}and after")
        etcdctl("snapshot", "save", str(files["cluster"]))
        etcdctl("user", "add", "root", "--new-user-password=secret")
        etcdctl("user", "add", "etcd-healthcheck-client", "--no-password")
        etcdctl("role", "add", "root")
        for name in ("root", "etcd-healthcheck-client"):
            etcdctl("user", "grant-role", name, "root")
        etcdctl("auth", "enable")
        etcdctl("--user=root:secret", "snapshot", "save", str(files["users"]))
    return files


def here(snapshot: Path, root: Path) -> str:
    """A copy, where one is that was delivered."""
    (root / "incoming").mkdir(exist_ok=True)
    return str(shutil.copy(snapshot, root / "incoming" / "snapshot"))


def stage(root: Path, snapshot: Path, authority: str = AUTHORITY, **more: Any) -> dict[str, Any]:
    spec = {
        "root": str(root),
        "operation": "stage",
        "snapshot": here(snapshot, root),
        "sha256": subprocess.run(["sha256sum", snapshot], capture_output=True, text=True, check=True).stdout.split()[0],
        "authority": authority,
        "name": "a",
        "address": "192.0.2.1",
        "members": {"a": "192.0.2.1", "b": "192.0.2.2"},
        "token": "t",
        "target": 17_000_000_000_000,
    }
    answer: dict[str, Any] = etcd_restore.main(spec | more)
    return answer


def test_a_snapshot_is_proven_by_what_is_in_it(root: Path, taken: dict[str, Path]) -> None:
    found = etcd_proof.prove(Host(str(root)), here(taken["cluster"], root))
    assert found == {"revision": 3, "keys": 2, "authorities": [AUTHORITY.strip()]}
    assert [path.name for path in (root / "incoming").iterdir()] == ["snapshot"]


def test_a_snapshot_carries_etcds_authentication_and_is_proven_all_the_same(root: Path, taken: dict[str, Path]) -> None:
    assert etcd_proof.prove(Host(str(root)), here(taken["users"], root))["authorities"] == [AUTHORITY.strip()]


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_snapshot_is_refused(root: Path, taken: dict[str, Path], damage: str) -> None:
    content = taken["cluster"].read_bytes()
    damaged = {"truncated": content[:-5000], "altered": content[:9000] + b"!" + content[9001:], "empty": b""}[damage]
    (root / "damaged").write_bytes(damaged)
    with pytest.raises(HostError, match="the snapshot does not restore, so it is truncated, altered or none at all"):
        etcd_proof.prove(Host(str(root)), here(root / "damaged", root))
    assert [path.name for path in (root / "incoming").iterdir()] == ["snapshot"]


def test_staged_beside_the_store_and_nothing_else_stays(root: Path, taken: dict[str, Path]) -> None:
    (root / "var/lib/etcd/default.etcd").mkdir(parents=True)
    assert stage(root, taken["cluster"]) == {"revision": 3, "keys": 2, "target": 17_000_000_000_000}
    assert sorted(path.name for path in (root / "var/lib/etcd").iterdir()) == ["default.etcd", "restored.etcd"]
    assert (root / "var/lib/etcd/restored.etcd").stat().st_mode & 0o777 == 0o700
    assert not (root / "var/lib/kubeinstall").exists()
    assert not (root / "incoming").exists()
    # Again, as after a run that was killed.
    stage(root, taken["cluster"])


def test_revisions_go_to_the_target(root: Path, taken: dict[str, Path]) -> None:
    (root / "var/lib/etcd").mkdir(parents=True)
    stage(root, taken["cluster"])
    assert revision_of(root, "restored") == 17_000_000_000_000


def revision_of(root: Path, store: str) -> int:
    database = root / f"var/lib/etcd/{store}.etcd/member/snap/db"
    status = subprocess.run(
        ["etcdutl", "snapshot", "status", database, "--write-out=json"], capture_output=True, text=True, check=True
    )
    return int(json.loads(status.stdout)["revision"])


def test_any_sequence_of_restores_goes_up_also_with_a_clock_in_the_past(
    root: Path, taken: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old backup, one made after that restore, the old one again: as the API's clients see the revisions."""
    (root / "var/lib/etcd").mkdir(parents=True)
    systemctl_says(monkeypatch, "inactive")
    later, recorded, seen = tmp_path / "later.db", 0, [3]
    for number, clock in enumerate((1_800_000_000, 1_800_000_100, 1_800_000_200, 0, 1)):
        look = etcd_restore.main({"root": str(root), "operation": "revision"})
        # A record may be missing: other control nodes have none.
        target = target_revision([look["revision"]], [clock], recorded if number % 2 else 0)
        recorded = stage(root, later if number == 1 else taken["cluster"], target=target)["target"]
        etcd_restore.swap(Host(str(root)), f"/var/lib/etcd/before-restore-{number}.etcd")
        seen.append(revision_of(root, "default"))
        if number == 0:
            shutil.copy(root / "var/lib/etcd/default.etcd/member/snap/db", later)
            with later.open("ab") as file:
                file.write(hashlib.sha256(later.read_bytes()).digest())
    assert seen == sorted(set(seen)), seen


def test_restores_by_an_older_version_are_gone_beyond(
    root: Path, taken: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It restored twice, the second time from a backup made after the first, and then the first backup again."""
    systemctl_says(monkeypatch, "inactive")
    for name, bump in (("before-restore-1", 36_000_000_000_000), ("default", 18_000_000_000_000)):
        data = root / f"var/lib/etcd/{name}.etcd"
        data.parent.mkdir(parents=True, exist_ok=True)
        options = ("--bump-revision", str(bump), "--mark-compacted")
        etcd_proof.restore(Host(str(root)), str(taken["cluster"]), str(data), *options)
    look = etcd_restore.main({"root": str(root), "operation": "revision"})
    assert look["unreadable"] == []
    assert target_revision([look["revision"]], [1_800_000_000], 0) > 36_000_000_000_000 + 3


def test_data_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl_says(monkeypatch, "failed")
    damaged = root / "var/lib/etcd/default.etcd/member/snap/db"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged" * 1000)
    look = etcd_restore.main({"root": str(root), "operation": "revision"})
    assert look["revision"] == 0
    assert "default.etcd: " in look["unreadable"][0]


def systemctl_says(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(units, "show", lambda *_: {"ActiveState": state})


def test_the_id_of_the_restored_cluster_is_known_before(root: Path, taken: dict[str, Path]) -> None:
    (root / "var/lib/etcd").mkdir(parents=True)
    client, peer = free_ports(2)
    # Its own address: the first member of three would wait for the others.
    stage(root, taken["cluster"], members={"a": "127.0.0.1"}, address="127.0.0.1", token="lab-1")
    command = ["etcd", "--name=a", f"--data-dir={root / 'var/lib/etcd/restored.etcd'}", "--unsafe-no-fsync"]
    command += [f"--listen-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}"]
    command += [f"--advertise-client-urls=http://127.0.0.1:{client}"]
    asked = ["etcdctl", f"--endpoints=http://127.0.0.1:{client}", "member", "list", "--write-out=json"]
    with running(root / "log", *command):
        deadline = time.monotonic() + 30
        while (done := subprocess.run(asked, capture_output=True, text=True, check=False)).returncode:
            assert time.monotonic() < deadline, (root / "log").read_text()[-2000:]
            time.sleep(0.1)
    found = f"{json.loads(done.stdout)['header']['cluster_id']:x}"
    assert cluster_id("lab-1", ["127.0.0.1"]) == found
    assert cluster_id("lab-2", ["127.0.0.1"]) != found


@pytest.mark.parametrize(
    ("name", "authority", "sentence"),
    [
        ("cluster", OTHER, "the snapshot is another cluster's"),
        ("empty", AUTHORITY, "the snapshot holds no Kubernetes cluster"),
    ],
)
def test_what_is_not_this_clusters_is_refused(
    root: Path, taken: dict[str, Path], name: str, authority: str, sentence: str
) -> None:
    (root / "var/lib/etcd").mkdir(parents=True)
    with pytest.raises(HostError, match=sentence):
        stage(root, taken[name], authority)
    assert list((root / "var/lib/etcd").iterdir()) == []


def test_what_did_not_arrive_whole_is_refused(root: Path, taken: dict[str, Path]) -> None:
    (root / "var/lib/etcd").mkdir(parents=True)
    with pytest.raises(HostError, match="did not arrive as it was sent"):
        stage(root, taken["cluster"], sha256="0" * 64)


def test_without_room_nothing_begins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_proof.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(HostError, match="make room"), etcd_proof.workplace(Host(str(root)), 2):
        pytest.fail("it began")


@pytest.fixture
def stores(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stores, with one that lives and one that was restored; systemd is left out."""
    for name in ("default", "restored"):
        (root / f"var/lib/etcd/{name}.etcd/{name}").mkdir(parents=True)
    monkeypatch.setattr(Host, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    return root / "var/lib/etcd"


def step(root: Path, operation: str) -> dict[str, Any]:
    answer: dict[str, Any] = etcd_restore.main(
        {"root": str(root), "operation": operation, "kept": "/var/lib/etcd/before.etcd"}
    )
    return answer


def tree(stores: Path) -> list[str]:
    return sorted(str(path.relative_to(stores)) for path in stores.glob("*/*"))


def test_swapped_and_put_back(root: Path, stores: Path) -> None:
    before = tree(stores)
    assert before == ["default.etcd/default", "restored.etcd/restored"]
    assert step(root, "swap") == {"kept": "/var/lib/etcd/before.etcd"}
    assert tree(stores) == ["before.etcd/default", "default.etcd/restored"]
    step(root, "put_back")
    assert tree(stores) == ["default.etcd/default"]


def test_put_back_before_it_was_swapped_leaves_the_store(root: Path, stores: Path) -> None:
    step(root, "put_back")
    assert tree(stores) == ["default.etcd/default"]


def test_put_back_where_the_swap_failed_half_way(root: Path, stores: Path) -> None:
    (stores / "default.etcd").rename(stores / "before.etcd")
    step(root, "put_back")
    assert tree(stores) == ["default.etcd/default"]


@pytest.mark.parametrize("end", ["put_back", "finish"])
def test_a_member_without_a_store(root: Path, stores: Path, end: str) -> None:
    shutil.rmtree(stores / "default.etcd")
    assert step(root, "swap") == {"kept": ""}
    step(root, end)
    assert tree(stores) == (["default.etcd/restored"] if end == "finish" else [])
    assert [path.name for path in stores.iterdir()] == (["default.etcd"] if end == "finish" else [])


@pytest.mark.parametrize("killed", ["after staging", "between the renames", "after the swap"])
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("empty", [False, True], ids=["with data", "without data"])
def test_an_interrupted_restore_is_completed_from_every_point(
    root: Path, stores: Path, killed: str, forward: bool, empty: bool
) -> None:
    if empty:
        shutil.rmtree(stores / "default.etcd")
    if killed == "after the swap":
        step(root, "swap")
    elif killed == "between the renames":
        (stores / "before.etcd").mkdir()
        if not empty:
            (stores / "default.etcd").rename(stores / "before.etcd")
    expected = {"after staging": "staged", "between the renames": "half", "after the swap": "restored"}[killed]
    assert step(root, "inspect") == {"data": expected}
    # Also where the run that completes it is killed, and the next one does it again.
    for _ in range(2):
        spec = {"root": str(root), "operation": "complete", "kept": "/var/lib/etcd/before.etcd", "forward": forward}
        etcd_restore.main(spec)
        before = [] if empty else ["before.etcd/default"]
        wanted = [*before, "default.etcd/restored"] if forward else [] if empty else ["default.etcd/default"]
        assert tree(stores) == wanted
        assert step(root, "inspect") == {"data": "restored" if forward else "before"}


@pytest.fixture
def incoming(root: Path) -> Path:
    """The login user's folder on the host."""
    (root / "incoming").mkdir()
    return root / "incoming"


def ask_for(root: Path, incoming: Path, operation: str, **more: str) -> dict[str, Any]:
    spec = {"root": str(root), "operation": operation, "directory": str(incoming), **more}
    answer: dict[str, Any] = etcd_backup.main(spec)
    return answer


def test_the_data_of_a_member_without_a_quorum_becomes_a_backup(
    root: Path, taken: dict[str, Path], incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl_says(monkeypatch, "inactive")
    etcd_proof.restore(Host(str(root)), str(taken["cluster"]), str(root / "var/lib/etcd/default.etcd"))
    found = ask_for(root, incoming, "data")
    assert (found["revision"], found["keys"], found["cluster_id"]) == (3, 2, "")
    copy = shutil.copy(found["path"], root / "survivor.db")
    # With its hash, so that a restore refuses what was altered since.
    assert stage(root, Path(copy))["keys"] == 2
    Path(copy).write_bytes(Path(copy).read_bytes()[:-5000])
    with pytest.raises(HostError, match="the snapshot does not restore"):
        stage(root, Path(copy))


def test_a_host_without_data_is_refused(root: Path, incoming: Path) -> None:
    with pytest.raises(HostError, match="this host has no data of etcd"):
        ask_for(root, incoming, "data")


def test_the_newest_backup_of_exactly_this_member_is_fetched(
    root: Path, taken: dict[str, Path], incoming: Path
) -> None:
    folder = root / "var/lib/etcd-backup"
    folder.mkdir(parents=True)
    for name in ("a-20250101T000000Z.db", "a-1-20270101T000000Z.db"):
        (folder / name).write_bytes(b"another")
    newest = folder / "a-20260101T000000Z.db"
    shutil.copy(taken["cluster"], newest)
    digest = hashlib.sha256(newest.read_bytes()).hexdigest()
    newest.with_name(f"{newest.name}.json").write_text(json.dumps({"sha256": digest}))
    found = ask_for(root, incoming, "stored", backups="/var/lib/etcd-backup", member="a")
    assert (found["sha256"], found["time"], found["keys"]) == (digest, "20260101T000000Z", 2)
    assert len(list(folder.iterdir())) == 4
    newest.with_name(f"{newest.name}.json").write_text(json.dumps({"sha256": "0"}))
    with pytest.raises(HostError, match="its digest differs"):
        ask_for(root, incoming, "stored", backups="/var/lib/etcd-backup", member="a")
    with pytest.raises(HostError, match="holds no backup of b"):
        ask_for(root, incoming, "stored", backups="/var/lib/etcd-backup", member="b")
