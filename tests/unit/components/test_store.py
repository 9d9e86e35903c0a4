from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeinstall.components import File, Store
from kubeinstall.errors import InputError

if TYPE_CHECKING:
    from tests.unit.components.conftest import Notes

KEY = ("tool", "1.2.3", "amd64")


def put(store: Store, body: bytes = b"program") -> File:
    with store.lock(*KEY) as directory, store.workspace(directory) as folder:
        (folder / "made").write_bytes(body)
        return store.add(*KEY, folder / "made", "release https://example.org/tool")


def test_what_was_added_is_located(store: Store) -> None:
    assert store.locate(*KEY) is None
    file = put(store)
    assert store.locate(*KEY) == file == store.verified(*KEY)
    assert file.path == store.root / "tool/1.2.3/amd64/tool"
    assert file.path.read_bytes() == b"program"
    assert file.path.stat().st_mode & 0o777 == 0o755
    assert (file.sha256, file.size) == (hashlib.sha256(b"program").hexdigest(), 7)
    assert file.source == "release https://example.org/tool"
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
