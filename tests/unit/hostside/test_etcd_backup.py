"""Snapshots of a real etcd on loopback: proven or refused, swapped in and put back."""

from __future__ import annotations

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
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd_proof, etcd_restore
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
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
        "bump": 17_000_000_000_000,
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
    assert stage(root, taken["cluster"]) == {"revision": 3, "keys": 2}
    assert sorted(path.name for path in (root / "var/lib/etcd").iterdir()) == ["default.etcd", "restored.etcd"]
    assert (root / "var/lib/etcd/restored.etcd").stat().st_mode & 0o777 == 0o700
    assert not (root / "var/lib/kubeinstall").exists()
    assert not (root / "incoming").exists()
    # Again, as after a run that was killed.
    stage(root, taken["cluster"])


def test_revisions_go_beyond_all_that_were_given_out(root: Path, taken: dict[str, Path]) -> None:
    (root / "var/lib/etcd").mkdir(parents=True)
    stage(root, taken["cluster"])
    database = root / "var/lib/etcd/restored.etcd/member/snap/db"
    status = subprocess.run(
        ["etcdutl", "snapshot", "status", database, "--write-out=json"], capture_output=True, text=True, check=True
    )
    assert json.loads(status.stdout)["revision"] >= 17_000_000_000_000


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
