"""Which box the virtual machines are made of, and that the one made here boots as far as its first sectors tell."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tools.vagrant import box

# Knows the boxes listed in `boxes`; the catalogue answers where there is a file `catalogue`.
VAGRANT = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
"box list") cat boxes ;;
"box add --provider libvirt debian/bookworm64") [ -e catalogue ] ;;
*) echo "$*" >>log ;;
esac
"""


@pytest.fixture
def vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Vagrant without any box, and without a catalogue."""
    (tmp_path / "vagrant").write_text(VAGRANT)
    (tmp_path / "vagrant").chmod(0o755)
    (tmp_path / "boxes").write_text("There are no installed boxes!\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(box, "make", lambda _say: Path("/cache/made.box"))
    return tmp_path


def test_one_that_is_there_or_that_a_catalogue_has_comes_first(vagrant: Path) -> None:
    (vagrant / "catalogue").touch()
    assert box.choose(print) == "debian/bookworm64"
    (vagrant / "catalogue").unlink()
    (vagrant / "boxes").write_text("debian/bookworm64 (libvirt, 12.20250126.1)\n")
    assert box.choose(print) == "debian/bookworm64"
    assert not (vagrant / "log").exists()


def test_without_a_catalogue_it_is_made_here_and_that_is_said(vagrant: Path) -> None:
    said: list[str] = []
    assert box.choose(said.append) == "kubeinstall/debian-12"
    assert said[0] == "No box catalogue answers"
    assert "--name kubeinstall/debian-12 /cache/made.box" in (vagrant / "log").read_text()


def test_the_first_sectors_of_its_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as empty:
        empty.truncate(2 << 20)
    box._make_bootable(disk, bytes([1]) * 512, bytes([2]) * 1000)
    content = disk.read_bytes()
    assert content[:440] == bytes([1]) * 440
    status, kind, begin, size = struct.unpack("<B3xB3xII", content[446:462])
    assert (status, kind, begin, begin + size) == (0x80, 0x83, 2048, 20 << 21)
    assert content[462:512] == bytes(48) + b"\x55\xaa"
    assert content[512:1512] == bytes([2]) * 1000
    assert content[1512:] == bytes((2 << 20) - 1512)
