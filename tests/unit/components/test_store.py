from __future__ import annotations

import grp
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeinstall.components import File, Store
from kubeinstall.errors import ComponentError, InputError

if TYPE_CHECKING:
    from tests.unit.components.conftest import Notes

KEY = ("tool", "1.2.3", "amd64")
FOLDER = "tool/1.2.3/amd64"


def put(store: Store, body: bytes = b"program") -> File:
    with store.lock(*KEY) as directory, store.workspace(directory) as folder:
        (folder / "made").write_bytes(body)
        return store.add(*KEY, folder / "made", "built from the module tool")


def test_what_was_added_is_located(store: Store) -> None:
    assert store.locate(*KEY) is None
    file = put(store)
    assert store.locate(*KEY) == file == store.verified(*KEY)
    assert file.path == store.root / "tool/1.2.3/amd64/tool"
    assert file.path.read_bytes() == b"program"
    assert file.path.stat().st_mode & 0o777 == 0o755
    assert (file.sha256, file.size) == (hashlib.sha256(b"program").hexdigest(), 7)
    assert file.source == "built from the module tool"
    assert sorted(path.name for path in file.path.parent.iterdir()) == [".lock", "tool", "tool.json"]


def test_versions_and_architectures_lie_apart(store: Store) -> None:
    put(store)
    assert store.locate("tool", "1.2.2", "amd64") is None
    assert store.locate("tool", "1.2.3", "arm64") is None


def test_unknown_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match=r"known are 1\.2\.3, 1\.2\.2"):
        store.locate("tool", "9", "amd64")
    with pytest.raises(InputError, match="known are amd64, arm64"):
        store.locate("tool", "1.2.3", "mips")
    with pytest.raises(InputError, match="unknown file"):
        store.locate("nothing", "1.2.3", "amd64")


def test_a_file_of_the_same_size_but_other_bytes_is_found_corrupt(store: Store, notes: Notes) -> None:
    file = put(store)
    file.path.write_bytes(b"pr0gram")
    assert store.locate(*KEY) == file, "locate does not hash"
    assert store.verified(*KEY, notes) is None
    assert notes.sentences == [
        "the cached tool 1.2.3 does not have the digest it was stored with: it is not used, and had again"
    ]
    assert store.pinned(*KEY) == file.sha256


def test_a_cut_file_is_not_even_located(store: Store, notes: Notes) -> None:
    file = put(store)
    file.path.write_bytes(b"prog")
    assert store.locate(*KEY) is None
    assert store.verified(*KEY, notes) is None
    assert "does not have the size" in notes.sentences[0]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"sha256": "x"}', '{"sha256": "x", "size": "y", "source": ""}'])
def test_a_damaged_record_vouches_for_nothing(store: Store, notes: Notes, record: str) -> None:
    file = put(store)
    file.path.with_name("tool.json").write_text(record)
    assert store.verified(*KEY, notes) is None
    assert "lost its record" in notes.sentences[0]


def test_what_a_killed_run_left_is_swept_up(store: Store) -> None:
    directory = put(store).path.parent
    (directory / ".work-dead").mkdir()
    (directory / ".work-dead/half").touch()
    (directory / ".record-dead").touch()
    put(store)
    assert sorted(path.name for path in directory.iterdir()) == [".lock", "tool", "tool.json"]


def test_the_cache_lies_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store().root == tmp_path / "kubeinstall/components"


@pytest.mark.parametrize(
    "place", [".", "tool", "tool/1.2.3/amd64", "tool/1.2.3/amd64/tool", "tool/1.2.3/amd64/tool.json"]
)
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_cache_that_others_may_write_to_is_refused(store: Store, place: str, mode: int) -> None:
    put(store)
    path = store.root / place
    path.chmod(mode)
    if mode == 0o775:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file to another group")
        os.chown(path, -1, grp.getgrnam("daemon").gr_gid)
    who = "every user" if mode == 0o777 else "group daemon"
    for ask in (store.locate, store.verified):
        with pytest.raises(ComponentError, match=rf"{who} may write to it.*chmod -R go-w "):
            ask(*KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("place", [".", "tool/1.2.3", "tool/1.2.3/amd64/tool"])
def test_a_cache_of_another_user_is_refused(store: Store, place: str) -> None:
    put(store)
    os.chown(store.root / place, 12345, -1)
    with pytest.raises(ComponentError, match=r"user 12345 may write to it.*chown -R root "):
        store.locate(*KEY)


def test_a_cache_made_without_a_umask_is_closed(store: Store) -> None:
    before = os.umask(0)
    try:
        put(store)
    finally:
        os.umask(before)
    assert store.verified(*KEY)


def test_a_release_is_judged_by_the_catalogue(store: Store, notes: Notes) -> None:
    """Its own record would vouch for anything."""
    with store.lock(*KEY) as directory, store.workspace(directory) as folder:
        (folder / "made").write_bytes(b"not what upstream released")
        store.add(*KEY, folder / "made", "release https://example.org/tool", release=f"sha256:{'0' * 64}")
    assert store.locate(*KEY) is None
    # One without that digest, as older versions stored it.
    with store.lock(*KEY) as directory, store.workspace(directory) as folder:
        (folder / "made").write_bytes(b"not what upstream released")
        store.add(*KEY, folder / "made", "release https://example.org/tool")
    assert store.verified(*KEY, notes) is None
    assert "does not have the digest that the catalogue names" in notes.sentences[-1]
