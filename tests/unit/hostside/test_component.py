"""The host side of the component task on temporary roots: create, change, drift, check, kill, full disk, unreadable."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import component, files, removal
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.differences import as_diff

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def spec_of(root: Path, **wanted: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "root": str(root),
        "name": "demo",
        "user": None,
        "packages": {},
        "kernel_modules": [],
        "sysctls": {},
        "directories": [],
        "binaries": [],
        "certificates": [],
        "files": [],
        "images": [],
        "unit": None,
        "ready": {},
        "delivered": {},
        "signed": {},
        "archives": {},
        "spare": {},
        "restarts": False,
    }
    return empty | wanted


def a_file(content: str = "one\n", **more: Any) -> dict[str, Any]:
    return {"dest": "/etc/demo/demo.conf", "content": content, "mode": "0640", "owner": "root"} | more


def run(operation: str, spec: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = component.main(spec | {"operation": operation})
    return result


def changes(spec: dict[str, Any]) -> list[str]:
    return [f"{change['kind']} {change['path']}" for change in run("compare", spec)["changes"]]


def tree(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(root)): (path.read_text(), path.stat().st_mode)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def program(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """A delivered program: its item in the spec, and the file as it arrived."""
    delivered = tmp_path / "incoming" / "program"
    delivered.parent.mkdir()
    delivered.write_text("#!/bin/sh\necho 1.0\n")
    digest = hashlib.sha256(delivered.read_bytes()).hexdigest()
    item = {"name": "demo", "version": "1.0", "dest": "/usr/local/bin/demo", "digests": {ARCHITECTURE: digest}}
    return item, delivered


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


def test_comparing_touches_nothing(root: Path) -> None:
    spec = spec_of(root, directories=[{"path": "/etc/demo", "mode": "0750"}], files=[a_file()])
    assert changes(spec) == ["directory /etc/demo", "file /etc/demo/demo.conf"]
    assert list(root.iterdir()) == []


def test_what_is_applied_is_right_afterwards(root: Path) -> None:
    spec = spec_of(root, directories=[{"path": "/etc/demo", "mode": "0750"}], files=[a_file()])
    run("apply", spec)
    assert (root / "etc/demo").stat().st_mode & 0o777 == 0o750
    assert (root / "etc/demo/demo.conf").stat().st_mode & 0o777 == 0o640
    assert changes(spec) == []


def test_a_changed_file_shows_its_difference(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file("one\n")]))
    (change,) = run("compare", spec_of(root, files=[a_file("two\n")]))["changes"]
    assert (change["before"], change["after"]) == ("one\n", "two\n")


def test_a_secret_shows_that_it_changes_and_nothing_else(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file("hunter1\n")]))
    answer = run("compare", spec_of(root, files=[a_file("hunter2\n", secret=True)]))
    assert len(answer["changes"]) == 1
    assert "hunter" not in json.dumps(answer)


@pytest.mark.parametrize("after", [[a_file("public\n", mode="0644")], []], ids=["readable by all", "removed"])
def test_what_held_a_secret_shows_nothing_of_it_when_it_no_longer_does(root: Path, after: list[dict[str, Any]]) -> None:
    run("apply", spec_of(root, files=[a_file("hunter1\n", mode="0600", secret=True)]))
    answer = run("compare", spec_of(root, files=after))
    assert len(answer["changes"]) == 1
    assert "hunter" not in json.dumps(answer)


@pytest.mark.parametrize("drift", ["content", "mode", "missing"])
def test_drift_by_hand_is_seen_and_repaired(root: Path, drift: str) -> None:
    spec = spec_of(root, files=[a_file()])
    run("apply", spec)
    path = root / "etc/demo/demo.conf"
    if drift == "content":
        path.write_text("by hand\n")
    elif drift == "mode":
        path.chmod(0o666)
    else:
        path.unlink()
    assert changes(spec) == ["file /etc/demo/demo.conf"]
    run("apply", spec)
    assert changes(spec) == []
    assert path.read_text() == "one\n"


def test_a_file_that_is_no_longer_wanted_goes(root: Path) -> None:
    other = a_file(dest="/etc/demo/other.conf")
    run("apply", spec_of(root, files=[a_file(), other]))
    (root / "etc/demo/theirs.conf").write_text("not ours\n")
    spec = spec_of(root, files=[a_file()])
    assert changes(spec) == ["file /etc/demo/other.conf"]
    run("apply", spec)
    assert sorted(path.name for path in (root / "etc/demo").iterdir()) == ["demo.conf", "theirs.conf"]
    assert changes(spec) == []


def test_bootstrap_files_count_only_until_there_is_data(root: Path) -> None:
    item = a_file("new cluster\n", only_if_missing="/var/lib/demo/data")
    run("apply", spec_of(root, files=[item]))
    (root / "var/lib/demo/data").mkdir(parents=True)
    assert changes(spec_of(root, files=[a_file("other members\n", only_if_missing="/var/lib/demo/data")])) == []
    assert (root / "etc/demo/demo.conf").read_text() == "new cluster\n"


def test_a_program_is_verified_run_and_put_in_place(root: Path, program: tuple[dict[str, Any], Path]) -> None:
    item, delivered = program
    spec = spec_of(root, binaries=[item])
    assert changes(spec) == ["binary /usr/local/bin/demo"]
    (digest,) = item["digests"].values()
    run("apply", spec | {"delivered": {digest: str(delivered)}})
    assert changes(spec) == []
    assert subprocess.run([root / "usr/local/bin/demo"], capture_output=True, check=True).stdout == b"1.0\n"
    assert not delivered.exists()


def test_a_program_with_another_digest_is_never_installed(root: Path, program: tuple[dict[str, Any], Path]) -> None:
    item, delivered = program
    (digest,) = item["digests"].values()
    delivered.write_text("#!/bin/sh\necho evil\n")
    with pytest.raises(HostError, match="another digest than the pinned"):
        run("apply", spec_of(root, binaries=[item], delivered={digest: str(delivered)}))
    assert list((root / "usr/local/bin").iterdir()) == []


def test_a_program_that_does_not_run_here_does_not_replace_one_that_does(
    root: Path, program: tuple[dict[str, Any], Path]
) -> None:
    item, delivered = program
    (digest,) = item["digests"].values()
    run("apply", spec_of(root, binaries=[item], delivered={digest: str(delivered)}))
    delivered.parent.mkdir(exist_ok=True)
    delivered.write_bytes(b"\x7fELF of another machine")
    broken = item | {"digests": {ARCHITECTURE: hashlib.sha256(delivered.read_bytes()).hexdigest()}}
    with pytest.raises(HostError, match="does not run on this host"):
        run("apply", spec_of(root, binaries=[broken], delivered={broken["digests"][ARCHITECTURE]: str(delivered)}))
    assert (root / "usr/local/bin/demo").read_text() == "#!/bin/sh\necho 1.0\n"


def test_an_unknown_digest_is_asked_for(root: Path, program: tuple[dict[str, Any], Path]) -> None:
    item = program[0] | {"digests": {}}
    (needed,) = run("compare", spec_of(root, binaries=[item]))["needs"]["binaries"]
    assert (needed["name"], needed["after"]) == ("demo", None)


def test_keys_are_made_here_and_wait_for_their_certificate(root: Path) -> None:
    item = {"name": "server", "certificate": "/etc/demo/server.crt", "key": "/etc/demo/server.key", "owner": "root"}
    spec = spec_of(root, certificates=[item])
    assert run("compare", spec)["certificates"]["server"]["certificate"] is None
    asked = run("request", spec | {"renew": ["server"]})
    assert asked["server"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert "PRIVATE" not in json.dumps(asked)
    assert (root / "etc/demo/server.key.new").stat().st_mode & 0o777 == 0o600
    certificate = subprocess.run(
        ["openssl", "req", "-x509", "-key", root / "etc/demo/server.key.new", "-subj", "/CN=x", "-days", "1"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    run("apply", spec | {"signed": {"server": certificate}})
    assert run("compare", spec)["certificates"]["server"] == {
        "certificate": certificate,
        "pair": True,
        "attributes": True,
    }
    assert not (root / "etc/demo/server.key.new").exists()


SERVER = {"name": "server", "certificate": "/etc/demo/server.crt", "key": "/etc/demo/server.key", "owner": "root"}


def self_signed(root: Path) -> str:
    """A certificate for the key that waits."""
    key = str(root / "etc/demo/server.key.new")
    command = ["openssl", "req", "-x509", "-key", key, "-subj", "/CN=x", "-days", "1"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("operation", ["install", "apply"])
def test_a_power_cut_finds_no_key_that_is_not_on_the_disk(
    root: Path, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(root, certificates=[SERVER])
    run("request", spec | {"renew": ["server"]})
    certificate, synced, order = self_signed(root), set[tuple[int, int]](), list[tuple[str, str, bool]]()
    fsync, rename = os.fsync, os.rename

    def seen_fsync(handle: int) -> None:
        status = os.fstat(handle)
        synced.add((status.st_dev, status.st_ino))
        order.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink()), True))
        fsync(handle)

    def seen_rename(source: str, target: str) -> None:
        status = Path(source).stat()
        order.append(("rename", target, (status.st_dev, status.st_ino) in synced))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    run(operation, spec | {"signed": {"server": certificate}})
    names = [(what, Path(path).name, whole) for what, path, whole in order if "/etc/demo" in path]
    assert ("rename", "server.crt", True) in names
    assert ("rename", "server.key", True) in names
    # The folder comes to the disk before the certificate has its name, and once more after the key.
    folders = [number for number, (what, name, _) in enumerate(names) if (what, name) == ("fsync", "demo")]
    renames = [number for number, (what, *_) in enumerate(names) if what == "rename"]
    assert folders[0] < renames[0] < renames[-1] < folders[-1]


def test_a_run_killed_between_certificate_and_key_is_repaired_by_the_next(root: Path) -> None:
    spec = spec_of(root, certificates=[SERVER])
    for _ in range(2):
        run("request", spec | {"renew": ["server"]})
        waiting = (root / "etc/demo/server.key.new").read_text()
        before = (root / "etc/demo/server.key").read_text() if (root / "etc/demo/server.key").exists() else ""
        run("install", spec | {"signed": {"server": self_signed(root)}})
    (root / "etc/demo/server.key").write_text(before)
    (root / "etc/demo/server.key.new").write_text(waiting)
    assert run("compare", spec)["certificates"]["server"]["pair"] is False
    run("request", spec | {"renew": ["server"]})
    run("install", spec | {"signed": {"server": self_signed(root)}})
    assert run("compare", spec)["certificates"]["server"]["pair"] is True


def test_a_link_in_the_place_of_a_file_leads_nowhere(root: Path) -> None:
    target = root / "etc/shadow"
    target.parent.mkdir()
    target.write_text("secret\n")
    target.chmod(0o600)
    (root / "etc/demo").mkdir()
    # Where the next file is written first, and where the certificate and its key are.
    for name in (".demo.conf.kubeinstall-new", "server.crt", "server.key"):
        (root / "etc/demo" / name).symlink_to(target)
    run("apply", spec_of(root, files=[a_file(mode="0644")]))
    assert (root / "etc/demo/demo.conf").read_text() == "one\n"
    with pytest.raises(HostError, match=r"server\.crt can't be set: it is a symbolic link"):
        run("apply", spec_of(root, certificates=[SERVER]))
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("secret\n", 0o600)


def test_a_tree_is_given_to_its_owner_and_what_its_links_lead_to_is_not(root: Path) -> None:
    outside = root / "outside"
    outside.write_text("")
    outside.chmod(0o644)
    (root / "tree/below").mkdir(parents=True)
    (root / "tree/below/link").symlink_to(outside)
    (root / "tree/below/file").write_text("")
    uid, gid = os.geteuid(), os.getegid()
    owner = (4711, 4712) if uid == 0 else (uid, gid)
    files.give_tree(str(root / "tree"), *owner)
    given = [root / "tree", root / "tree/below", root / "tree/below/file", root / "tree/below/link"]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in given} == {owner}
    assert (root / "tree").stat().st_mode & 0o777 == 0o700
    assert (outside.stat().st_uid, outside.stat().st_gid) == (uid, gid)


def test_a_certificate_without_its_key_is_seen(root: Path) -> None:
    test_keys_are_made_here_and_wait_for_their_certificate(root)
    (root / "etc/demo/server.key").unlink()
    item = {"name": "server", "certificate": "/etc/demo/server.crt", "key": "/etc/demo/server.key", "owner": "root"}
    assert run("compare", spec_of(root, certificates=[item]))["certificates"]["server"]["pair"] is False


def test_a_run_killed_while_writing_leaves_the_old_file_and_the_next_converges(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file("old\n")]))
    spec = spec_of(root, files=[a_file("new\n" * 100_000)])
    # The process dies at its first sync: the content is in the temporary file, the rename has not happened.
    script = (
        "import json, os, sys, signal\n"
        "from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import component\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "component.main(json.load(sys.stdin))\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    killed = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(spec | {"operation": "apply"}),
        text=True,
        env=environment,
        check=False,
    )
    assert killed.returncode == -9
    assert (root / "etc/demo/demo.conf").read_text() == "old\n"
    run("apply", spec)
    assert (root / "etc/demo/demo.conf").read_text() == "new\n" * 100_000
    assert [path.name for path in (root / "etc/demo").iterdir()] == ["demo.conf"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_the_old_file_stays(root: Path) -> None:
    (root / "etc/demo").mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", root / "etc/demo"], check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system can't be mounted here")
    try:
        run("apply", spec_of(root, files=[a_file("small\n")]))
        with pytest.raises(HostError, match=r"the disk is full: .*demo\.conf was not written"):
            run("apply", spec_of(root, files=[a_file("x" * 200_000)]))
        assert (root / "etc/demo/demo.conf").read_text() == "small\n"
        assert [path.name for path in (root / "etc/demo").iterdir()] == ["demo.conf"]
    finally:
        subprocess.run(["umount", root / "etc/demo"], check=True)


def test_a_directory_in_the_place_of_a_file_is_said(root: Path) -> None:
    (root / "etc/demo/demo.conf").mkdir(parents=True)
    with pytest.raises(HostError, match="can't be read: Is a directory"):
        run("compare", spec_of(root, files=[a_file()]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_said(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file()]))
    (root / "etc/demo/demo.conf").chmod(0)
    with pytest.raises(HostError, match="can't be read: Permission denied"):
        run("compare", spec_of(root, files=[a_file()]))


@pytest.mark.parametrize(
    ("there", "other"),
    [
        (None, None),
        ("keys:\n  secret: one\n", None),
        ("# an older form\nkeys:\n  secret: one\n", False),
        ("keys:\n  secret: two\n  secret: one\n", False),
        ("cut", False),
        ("keys:\n  secret: two\n", True),
    ],
)
def test_a_file_with_other_keys_is_told_from_an_altered_one(root: Path, there: str | None, other: bool | None) -> None:
    item = a_file("keys:\n  secret: one\n", identity=r"(?m)^ *secret: (\S+)$", secret=True)
    if there is not None:
        run("apply", spec_of(root, files=[a_file(there, secret=True)]))
    found = [one for one in run("compare", spec_of(root, files=[item]))["changes"] if one["kind"] == "file"]
    assert [one.get("other_identity") for one in found] == ([other] if there is None or other is not None else [])
    assert "two" not in json.dumps(found)


def test_a_damaged_record_is_said(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file()]))
    (root / "var/lib/kubeinstall/demo.json").write_text("{")
    with pytest.raises(HostError, match="is damaged"):
        run("compare", spec_of(root, files=[a_file()]))


def test_removal_leaves_the_root_as_it_was(root: Path, program: tuple[dict[str, Any], Path]) -> None:
    item, delivered = program
    (root / "etc/demo").mkdir(parents=True)
    (root / "etc/demo/demo.conf").write_text("theirs\n")
    (root / "etc/theirs").write_text("untouched\n")
    before = tree(root)
    (digest,) = item["digests"].values()
    spec = spec_of(
        root,
        files=[a_file("ours\n")],
        binaries=[item],
        directories=[{"path": "/var/lib/demo", "mode": "0700"}],
        delivered={digest: str(delivered)},
    )
    run("apply", spec)
    (root / "var/lib/demo/data").write_text("data\n")
    what = {"name": "demo", "remove": ["/var/lib/demo"], "remove_links": []}
    foreseen = removal.remove(Host(str(root)), what | {"check": True}, [])["removed"]
    assert tree(root) != before
    assert removal.remove(Host(str(root)), what, [])["removed"] == foreseen
    shutil.rmtree(root / "run/kubeinstall")
    assert tree(root) == before
    assert removal.remove(Host(str(root)), what, [])["removed"] == []


@pytest.mark.parametrize("leaves", ["demo", "other"])
def test_a_file_that_two_components_have_goes_with_the_last(root: Path, leaves: str) -> None:
    own = a_file(dest="/etc/demo/own.conf")
    run("apply", spec_of(root, files=[a_file(), own]))
    run("apply", spec_of(root, name="other", files=[a_file()]))
    (stays,) = {"demo", "other"} - {leaves}
    what = {"name": leaves, "remove": [], "remove_links": []}
    foreseen = removal.remove(Host(str(root)), what | {"check": True}, [stays])["removed"]
    assert removal.remove(Host(str(root)), what, [stays])["removed"] == foreseen
    left = sorted(path.name for path in (root / "etc/demo").iterdir())
    assert left == {"demo": ["demo.conf"], "other": ["demo.conf", "own.conf"]}[leaves]
    removal.remove(Host(str(root)), what | {"name": stays}, [])
    assert not (root / "etc/demo").exists()


def test_a_file_that_another_component_has_too_is_not_left_over(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file()]))
    run("apply", spec_of(root, name="other", files=[a_file()]))
    run("apply", spec_of(root))
    assert (root / "etc/demo/demo.conf").exists()
    run("apply", spec_of(root, name="other"))
    assert not (root / "etc/demo/demo.conf").exists()


def test_a_host_is_written_by_one_run_at_a_time(root: Path) -> None:
    spec = spec_of(root, files=[a_file()])
    run("apply", spec)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX);"
         "print('held', flush=True); time.sleep(0.5)", root / "run/kubeinstall/lock"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout
    with holder:
        assert holder.stdout.readline() == b"held\n"
        run("apply", spec_of(root, files=[a_file("two\n")]))
        assert holder.poll() is not None or holder.wait(1) == 0


def test_a_lock_that_another_user_holds_in_a_public_place_is_of_no_concern(root: Path) -> None:
    public = root / "run/lock/kubeinstall.lock"
    public.parent.mkdir(parents=True)
    with public.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with Host(str(root)).lock("test", timeout=1):
            pass
    folder = root / "run/kubeinstall"
    assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o700, os.geteuid())


def test_the_directory_of_the_lock_is_closed_to_others(root: Path) -> None:
    folder = root / "run/kubeinstall"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    with Host(str(root)).lock("test"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["a link as directory", "a link as lock", "a file"])
def test_a_lock_is_never_taken_through_what_another_made(root: Path, what: str) -> None:
    folder, target = root / "run/kubeinstall", root / "target"
    folder.parent.mkdir()
    if what == "a link as directory":
        target.mkdir()
        folder.symlink_to(target)
    elif what == "a link as lock":
        target.write_text("precious")
        folder.mkdir()
        (folder / "lock").symlink_to(target)
    else:
        folder.write_text("")
    with pytest.raises(HostError, match=r"/run/kubeinstall.* remove it"), Host(str(root)).lock("test"):
        pass
    assert not target.is_file() or target.read_text() == "precious"


def test_a_removal_leaves_what_it_was_not_delivered(root: Path) -> None:
    """Anyone may write to /var/tmp: links and files of others neither lead a removal astray nor end it."""
    run("apply", spec_of(root, files=[a_file()]))
    places, elsewhere = root / "var/tmp", root / "elsewhere"
    places.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (places / "kubeinstall-1").symlink_to(elsewhere)
    (places / "kubeinstall-2").touch()
    (places / "kubeinstall-4294967294").mkdir()
    for name in (f"kubeinstall-{os.geteuid()}", f"kubeinstall-{os.geteuid()}-a1b2"):
        (places / name).mkdir()
        (places / name / "delivered").touch()
    removal.remove(Host(str(root)), {"name": "demo", "remove": [], "remove_links": []}, [])
    assert sorted(path.name for path in places.iterdir()) == [
        "kubeinstall-1",
        "kubeinstall-2",
        "kubeinstall-4294967294",
    ]
    assert (elsewhere / "precious").exists()


def test_a_file_that_goes_is_shown_with_what_it_was(root: Path) -> None:
    run("apply", spec_of(root, files=[a_file(mode="0600")]))
    (change,) = run("compare", spec_of(root))["changes"]
    (entry,) = as_diff([change], None)
    assert entry["before_header"].startswith("/etc/demo/demo.conf (0600 ")
    assert entry["after_header"] == "/etc/demo/demo.conf (absent)"
