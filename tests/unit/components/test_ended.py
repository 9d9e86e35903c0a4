"""A build that is ended leaves nothing behind: real builds of the smallest module, with nothing compiled before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from kubeinstall.components import Store, fetch, machine_architecture
from kubeinstall.components.build import Toolchain

FETCH = """\
import sys
from pathlib import Path
from kubeinstall.components import Store, fetch
fetch(["pause"], versions={}, architecture=sys.argv[2], store=Store(Path(sys.argv[1])))
"""


@pytest.fixture
def building(toolchain: Toolchain, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that compiles the standard library for it, in a group of its own."""
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "GOCACHE": str(tmp_path / "compiled"), "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-c", FETCH, str(tmp_path / "cache"), machine_architecture()]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        wait(lambda: bool(list(tmp_path.glob("cache/*/*/*/.work-*/temporary/go-build*/*"))), "it compiles")
        yield process
        process.kill()


def wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def at_work(folder: Path) -> list[str]:
    """The processes whose command or working directory is in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(folder) in words or str(folder) in str((entry / "cwd").readlink()):
                    found.append(words.replace("\0", " "))
            except OSError:
                continue
    return found


def left(folder: Path) -> list[Path]:
    return [*folder.glob("cache/*/*/*/.work-*"), *(folder / "temporary").iterdir()]


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT], ids=lambda told: told.name)
@pytest.mark.parametrize("group", [False, True], ids=["alone", "with its group"])
def test_a_build_that_is_told_to_end(
    building: subprocess.Popen[bytes], tmp_path: Path, told: signal.Signals, group: bool
) -> None:
    (os.killpg if group else os.kill)(building.pid, told)
    assert building.wait(30) != 0
    assert at_work(tmp_path) == []
    assert left(tmp_path) == []


def test_a_build_whose_parent_is_killed(building: subprocess.Popen[bytes], tmp_path: Path) -> None:
    building.kill()
    building.wait(30)
    wait(lambda: at_work(tmp_path) == [], "all that it started ends")
    assert list((tmp_path / "temporary").iterdir()) == []
    fetch(["pause"], versions={}, architecture=machine_architecture(), store=Store(tmp_path / "cache"))
    assert left(tmp_path) == []


def test_leftovers_go_at_the_next_start_whatever_it_gets(tmp_path: Path) -> None:
    for component in ("kubernetes/1.37.1", "etcd/3.6.14"):
        (tmp_path / component / "amd64" / ".work-1" / "temporary").mkdir(parents=True)
    store = Store(tmp_path)
    with FileLock(tmp_path / "etcd/3.6.14/amd64/.lock"):
        store.clear_leftovers()
    assert [path.parts[-4] for path in tmp_path.glob("*/*/*/.work-*")] == ["etcd"], "the one that is at work stays"
    store.clear_leftovers()
    assert list(tmp_path.glob("*/*/*/.work-*")) == []
