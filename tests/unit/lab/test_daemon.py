from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubeinstall.errors import LabError
from kubeinstall.lab import daemon
from kubeinstall.lab.engine import Engine


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def test_a_pid_file_counts_only_for_that_program(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    program = Path("/proc/self/comm").read_text().strip()
    pidfile.write_text(f"{os.getpid()}\n")
    assert daemon._runs(pidfile, program) == os.getpid()
    assert daemon._runs(pidfile, "dockerd") is None, "somebody else has the number now"
    pidfile.write_text("4194305\n")
    assert daemon._runs(pidfile, "dockerd") is None, "no process can have that number"
    pidfile.write_text("")
    assert daemon._runs(pidfile, "dockerd") is None
    assert daemon._runs(tmp_path / "missing", "dockerd") is None


def test_stop_ends_only_what_was_started_by_hand() -> None:
    (daemon.cache_folder() / "dockerd.pid").write_text(f"{os.getpid()}\n")
    assert daemon.stop(print) is False


def test_an_unreachable_docker_host_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(LabError, match=r"no Docker engine answers at DOCKER_HOST=unix://.*none\.sock"):
        daemon.answering(print)


def test_an_engine_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class There(Engine):
        def __init__(self) -> None: ...

        def local(self) -> bool:
            return True

    there = There()
    monkeypatch.setattr("kubeinstall.lab.engine.connect", lambda: there)
    assert daemon.answering(print) is there


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(Engine):
        def __init__(self) -> None: ...

        def local(self) -> bool:
            return False

    monkeypatch.setattr("kubeinstall.lab.engine.connect", Elsewhere)
    with pytest.raises(LabError, match="remote, rootless or desktop engine"):
        daemon.answering(print)
