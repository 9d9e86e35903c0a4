"""An operation that a device keeps from its end is ended; what is only slow goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils import hostside

HOSTSIDE = Path(str(hostside.__file__)).parents[1]
BEGIN = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(HOSTSIDE)!r})
from hostside import stalls
stalls.LOOK_SECONDS, stalls.STALLED_SECONDS = 0.2, 1.0
stalls.supervise(lambda stalled: "stalled: " + stalled)
"""
# Its child shares its memory until it executes something, and can't open its input before: that is an uninterruptible
# wait, as for a disk.
BLOCKED = """
opening = (os.POSIX_SPAWN_OPEN, 0, {fifo!r}, os.O_RDONLY, 0)
os.posix_spawn("/bin/true", ["true"], {{}}, file_actions=[opening])
print("it went on")
"""
COMMAND = [sys.executable, "-I", "-S", "-c"]


def ended(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, BEGIN + script], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def blocked(tmp_path: Path) -> Iterator[str]:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    yield BLOCKED.format(fifo=str(fifo))
    # What still waits for it goes on, and ends.
    os.close(os.open(fifo, os.O_RDWR))


@pytest.mark.parametrize("by", ["the operation", "a program that it runs"])
def test_what_is_blocked_is_ended_and_named(blocked: str, by: str) -> None:
    if by != "the operation":
        blocked = f"subprocess.run([sys.executable, '-c', {'import os' + blocked!r}])"
    done = ended(blocked)
    assert done.returncode == 0
    assert done.stdout.startswith("stalled: ")
    assert "has been blocked in the kernel for 1 s" in done.stdout


def test_the_output_and_the_exit_code_are_passed_on() -> None:
    done = ended("print('a' * 200_000, flush=True); sys.exit('the end')")
    assert (done.returncode, done.stdout) == (1, "a" * 200_000 + "\nthe end\n")
    assert ended("os.kill(os.getpid(), 9)").returncode == 128 + 9


def test_what_waits_for_something_else_goes_on() -> None:
    assert ended("time.sleep(2.5); print('done')").stdout == "done\n"


def test_it_ends_with_its_reader() -> None:
    process = subprocess.Popen(
        [*COMMAND, BEGIN + "print('begun', flush=True); time.sleep(15)"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    process.stdout.close()
    began = time.monotonic()
    assert process.wait(20) == 1
    assert time.monotonic() - began < 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes no writes any more."""
    image, mounted = tmp_path / "disk.img", tmp_path / "disk"
    mounted.mkdir()
    with image.open("wb") as handle:
        handle.truncate(16 << 20)
    try:
        subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        subprocess.run(["fsfreeze", "--freeze", mounted], check=True)
        yield mounted
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", mounted], check=False)
        # What was ended has it open for a moment more.
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_disk_that_does_not_answer_is_noticed(disk: Path) -> None:
    done = ended(f"open({str(disk / 'x')!r}, 'w').write('x'); print('written')")
    assert done.stdout.startswith("stalled: python"), done.stdout
    assert "has been blocked in the kernel for 1 s" in done.stdout
