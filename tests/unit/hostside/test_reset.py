from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import pods, reset, stored_backups
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.record import Record

DATA = "/var/lib/containerd"


def test_a_host_without_records_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "var/lib/etcd/member"
    data.mkdir(parents=True)
    components = [{"name": "etcd", "remove": ["/var/lib/etcd"], "remove_links": []}]
    answer = reset.main({"root": str(tmp_path), "check": False, "components": components})
    assert answer == {"removed": [], "kept": [], "backups": {"count": 0, "newest": ""}}
    assert data.is_dir()


def test_containerd_data_that_we_made_is_ours(tmp_path: Path) -> None:
    (tmp_path / "var/lib/containerd/content").mkdir(parents=True)
    record = Record(Host(str(tmp_path)), "container-engine")
    record.add("directories", [DATA])
    assert reset._foreign(Host(str(tmp_path)), record, DATA, check=True) is None


def test_containerd_data_that_was_there_stays_while_nobody_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var/lib/containerd/content").mkdir(parents=True)
    host = Host(str(tmp_path))

    def answers(printed: str, code: int = 0) -> None:
        command = [sys.executable, "-c", f"print({printed!r}); raise SystemExit({code})"]
        run = Host.run
        monkeypatch.setattr(host, "run", lambda *_, **options: run(host, command, **options))

    record = Record(host, "container-engine")
    answers("k8s.io")
    assert reset._foreign(host, record, DATA, check=True) is None
    answers("k8s.io\nmoby")
    assert reset._foreign(host, record, DATA, check=True) == "it also holds moby"
    monkeypatch.undo()
    answers("connection refused", 1)
    reason = reset._foreign(host, record, DATA, check=True)
    assert reason is not None
    assert "connection refused" in reason


def test_mounts_are_found_innermost_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "tmpfs /var/lib/kubelet/pods/a/volumes/x tmpfs rw 0 0",
        "tmpfs /var/lib/kubelet/pods/a/volumes/x/a\\040folder tmpfs rw 0 0",
        "/dev/vda /var/lib/kubelet-of-another ext4 rw 0 0",
        "/dev/vda /var/lib/kubelet ext4 rw 0 0",
    ]
    monkeypatch.setattr(pods, "read", lambda _: "\n".join(lines))
    assert pods.mounts("/var/lib/kubelet/") == [
        "/var/lib/kubelet/pods/a/volumes/x/a folder",
        "/var/lib/kubelet/pods/a/volumes/x",
    ]


def test_descendants_come_before_those_they_descend_from() -> None:
    child = "import subprocess; print('up', flush=True); subprocess.run(['sleep', '30'])"
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            found: list[int] = []
            while len(found) < 2:
                found = pods._with_descendants([process.pid])
            assert found[-1] == process.pid
            assert len(found) == 2
        finally:
            for pid in pods._with_descendants([process.pid]):
                subprocess.run(["kill", str(pid)], check=False)


def test_folders_that_others_still_use_stay(tmp_path: Path) -> None:
    (tmp_path / "etc/kubernetes/pki").mkdir(parents=True)
    (tmp_path / "etc/cni/net.d").mkdir(parents=True)
    (tmp_path / "etc/cni/foreign.conf").touch()
    directories = ["/etc/kubernetes", "/etc/kubernetes/pki", "/etc/cni", "/etc/cni/net.d", "/etc/kubernetes"]
    pods.remove_empty(Host(str(tmp_path)), directories)
    assert sorted(path.name for path in (tmp_path / "etc").rglob("*")) == ["cni", "foreign.conf"]


def test_backups_stay_and_are_counted_unless_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset, "_network", lambda *_: [])
    monkeypatch.setattr(reset, "_control_groups", lambda *_: None)
    monkeypatch.setattr(reset.units, "daemon_reload", lambda *_: None)
    folder = tmp_path / "var/lib/etcd-backup"

    def run(remove: list[str], *, check: bool) -> dict[str, Any]:
        components = [{"name": "etcd-backup", "remove": remove, "remove_links": []}]
        spec = {"root": str(tmp_path), "check": check, "components": components, "backups": "/var/lib/etcd-backup"}
        backups: dict[str, Any] = reset.main(spec)["backups"]
        return backups

    def install() -> None:
        record = Record(Host(str(tmp_path)), "etcd-backup")
        record.add("directories", ["/var/lib/etcd-backup"])
        record.save()

    folder.mkdir(parents=True)
    for name in ("a-20260101T000000Z.db", "a-20260102T000000Z.db", "a-20260102T000000Z.db.json"):
        (folder / name).touch()
    install()
    kept = {"count": 2, "newest": "20260102T000000Z"}
    assert run([], check=True) == run([], check=False) == kept
    # Also those that an earlier reset has kept.
    assert run([], check=False) == kept
    install()
    assert run(["/var/lib/etcd-backup"], check=False)["count"] == 0
    assert not folder.exists()


def test_kept_backups_do_not_go_to_whoever_gets_the_users_id_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    host, folder = Host(str(tmp_path)), tmp_path / "var/lib/etcd-backup"
    folder.mkdir(parents=True)
    files = {folder / "a-20260101T000000Z.db": 4242, folder / "other": 4243}
    for path, owner in {folder: 4242, **files}.items():
        if path != folder:
            path.touch()
        os.chown(path, owner, owner)
    monkeypatch.setattr(host, "uid", lambda _: 4242)
    stored_backups.give_to_root(host, "/var/lib/etcd-backup", "etcd")
    assert [path.stat().st_uid for path in (folder, *files)] == [0, 0, 4243]
