"""Restarts of a living service go some hosts at a time, and stop at the first failure."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.turns import turn


@pytest.fixture(autouse=True)
def temporary_directory_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def restart(host: str, log: Path, at_once: int = 1) -> None:
    with turn("etcd", host, at_once):
        for word in ("begins", "ends"):
            with log.open("a") as handle:
                handle.write(f"{host} {word}\n")
            time.sleep(0.05)


def test_hosts_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=restart, args=(f"host{number}", log)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = log.read_text().splitlines()
    assert len(lines) == 8
    assert all(begin.split()[0] == end.split()[0] for begin, end in zip(lines[::2], lines[1::2], strict=True))


def restart_together(host: str, log: Path) -> None:
    with turn("flannel", host, 4, first_alone=True):
        for word in ("begins", "ends"):
            with log.open("a") as handle:
                handle.write(f"{host} {word}\n")
            time.sleep(0.3)


def test_one_host_goes_first_and_all_others_together(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=restart_together, args=(f"host{number}", log)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    words = [line.split()[1] for line in log.read_text().splitlines()]
    assert words == ["begins", "ends", *["begins"] * 3, *["ends"] * 3]


def test_none_goes_after_a_first_one_that_failed() -> None:
    with pytest.raises(OSError, match="no such backend"), turn("flannel", "one", 4, first_alone=True):
        raise OSError("no such backend")
    with pytest.raises(AnsibleActionFail, match="one failed before it"), turn("flannel", "two", 4, first_alone=True):
        raise AssertionError


def test_hosts_take_turns_in_batches(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=restart, args=(f"host{number}", log, 2)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    busy = [0]
    for line in log.read_text().splitlines():
        busy.append(busy[-1] + (1 if line.endswith("begins") else -1))
    assert max(busy) == 2


def test_after_a_failure_the_others_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError), turn("etcd", "host1"):
        raise RuntimeError
    with (
        pytest.raises(AnsibleActionFail, match="etcd was not restarted: host1 failed before it"),
        turn("etcd", "host2"),
    ):
        pytest.fail("host2 had its turn")


def test_another_component_has_turns_of_its_own() -> None:
    with pytest.raises(RuntimeError), turn("etcd", "host1"):
        raise RuntimeError
    with turn("kubelet", "host1"):
        pass
