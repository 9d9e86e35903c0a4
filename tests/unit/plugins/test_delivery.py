"""What is sent to a host arrives whole, over a fast link and over a slow one."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import delivery
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.limits import Limit

INCOMING = Path(f"/var/tmp/kubeinstall-{os.geteuid()}")


class SlowStream(io.BytesIO):
    """A link of some 20 MB/s."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        time.sleep(len(data) / 20e6)
        return super().write(data)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[tuple[Path, str]]]:
    """A large file that compresses well and a small one, with their digests; what arrived of them goes at the end."""
    found = []
    for name, content in (("large", os.urandom(1 << 10) * (20 << 10)), ("small", b"x")):
        path = tmp_path / name
        path.write_bytes(content)
        found.append((path, hashlib.sha256(content).hexdigest()))
    yield found
    for _, digest in found:
        (INCOMING / digest).unlink(missing_ok=True)
    if INCOMING.exists() and not list(INCOMING.iterdir()):
        INCOMING.rmdir()


def receive(sent: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-S", "-c", delivery.RECEIVE]
    return subprocess.run(command, input=sent, capture_output=True, check=False)


def compressed_frames(sent: bytes) -> int:
    """How many of the frames behind the header are compressed."""
    position, count = sent.index(b"\n") + 1, 0
    while position < len(sent):
        (length,) = struct.unpack_from(">I", sent, position)
        count += length >> 31
        position += 4 + (length & 0x7FFFFFFF)
    return count


@pytest.mark.parametrize("stream", [io.BytesIO(), SlowStream()], ids=["fast", "slow"])
def test_what_is_sent_arrives_whole(files: list[tuple[Path, str]], stream: io.BytesIO) -> None:
    delivery._send(stream, files, Limit(60))
    sent = stream.getvalue()
    assert (compressed_frames(sent) > 0) == isinstance(stream, SlowStream)
    done = receive(sent)
    assert (done.returncode, done.stdout.decode().strip()) == (0, str(INCOMING))
    for path, digest in files:
        assert (INCOMING / digest).read_bytes() == path.read_bytes()


def test_a_stream_that_breaks_off_leaves_no_file_under_its_name(files: list[tuple[Path, str]]) -> None:
    stream = io.BytesIO()
    delivery._send(stream, files, Limit(60))
    assert receive(stream.getvalue()[: 3 << 20]).returncode != 0
    assert not (INCOMING / files[0][1]).exists()
    (INCOMING / f"{files[0][1]}.partial").unlink()


@pytest.mark.parametrize(
    "printed", ["/tmp/x", "/var/tmp/kubeinstall-0/../..", "/var/tmp/kubeinstall-0;id", "\x1b[2J", ""]
)
def test_a_host_names_no_other_directory_than_its_own(printed: str) -> None:
    with pytest.raises(AnsibleActionFail, match="as its directory for files"):
        delivery._landing(f"a banner\n{printed}")


def test_words_before_the_directory_are_passed_over() -> None:
    assert delivery._landing("a banner\n/var/tmp/kubeinstall-1000\n") == "/var/tmp/kubeinstall-1000"


@pytest.mark.parametrize("what", ["a link", "a file", "another user's directory"])
def test_a_place_that_another_user_made_is_not_used(tmp_path: Path, what: str) -> None:
    taken = tmp_path / INCOMING.name
    if what == "a link":
        taken.symlink_to(tmp_path)
    elif what == "a file":
        taken.touch()
    else:
        taken.mkdir()
        if os.geteuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(taken, 12345, -1)
    prepare = delivery.PREPARE.replace("/var/tmp", str(tmp_path)) + "print(d)"
    command = [sys.executable, "-I", "-S", "-c", prepare]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.strip())
    assert place.name.startswith(f"{INCOMING.name}-")
    assert (place.stat().st_mode & 0o777, place.stat().st_uid) == (0o700, os.geteuid())


def test_a_place_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / INCOMING.name).mkdir()
    (tmp_path / INCOMING.name).chmod(0o777)
    prepare = delivery.PREPARE.replace("/var/tmp", str(tmp_path)) + "print(d)"
    subprocess.run([sys.executable, "-I", "-S", "-c", prepare], check=True, capture_output=True)
    assert (tmp_path / INCOMING.name).stat().st_mode & 0o777 == 0o700
