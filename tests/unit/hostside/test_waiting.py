"""A wait on a host ends with the run that asked for it; nothing else ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils import hostside
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import drain, membership, notes, waiting
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API

from tests.lab import eventually
from tests.unit.hostside.nodes import pod, rooted

HOSTSIDE = Path(str(hostside.__file__)).parents[1]
BEGIN = f"import sys; sys.path.insert(0, {str(HOSTSIDE)!r})\n"
WAIT = (
    BEGIN
    + """
import time
from hostside.waiting import pause
print("waiting", flush=True)
until = time.monotonic() + 20
while time.monotonic() < until:
    pause(0.1)
"""
)
# Stands between, as sudo with use_pty does: the program's output goes through a pipe of its own.
BETWEEN = """
import subprocess, sys
with subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE) as process:
    sys.stdout.buffer.write(process.stdout.readline())
    sys.stdout.flush()
    sys.exit(process.wait())
"""


def ends(process: subprocess.Popen[bytes], seconds: float) -> int:
    began = time.monotonic()
    try:
        code = process.wait(20)
    finally:
        process.kill()
    assert time.monotonic() - began < seconds
    return code


@pytest.mark.parametrize("between", [False, True])
def test_a_wait_ends_with_its_reader(tmp_path: Path, between: bool) -> None:
    sudo = tmp_path / "sudo"
    sudo.symlink_to(os.path.realpath(sys.executable))
    command = [str(sudo), "-c", BETWEEN, WAIT] if between else [sys.executable, "-c", WAIT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"waiting\n"
    time.sleep(0.5)
    assert process.poll() is None
    process.stdout.close()
    assert ends(process, 3) == 1


def test_a_wait_lasts_while_it_is_read() -> None:
    began = time.monotonic()
    waiting.pause(0.3)
    assert 0.3 <= time.monotonic() - began < 2


def test_a_wait_ends_with_the_runs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"test-{os.getpid()}"
    monkeypatch.setattr(waiting, "HOLD", f"@{name}")

    def hold() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"\0{name}")
        server.listen()
        return server

    # Where no run holds the cluster, none can be lost.
    waiting.follow_hold()
    waiting.pause(0)
    with hold():
        waiting.follow_hold()
        waiting.pause(0)
    with pytest.raises(SystemExit):
        waiting.pause(0)
    # Another run's is none of ours.
    with hold(), pytest.raises(SystemExit):
        waiting.pause(0)


def ending(api: API, node: str) -> list[str]:
    return [drain.title(one) for one in drain.pods(api, node) if one["metadata"].get("deletionTimestamp")]


def test_a_drain_ends_with_its_run(api: API, api_access: dict[str, Any], node: str) -> None:
    """Nothing ends pods here: the drain would wait for this one, mark the node and delete it."""
    pod(api, node, "slow", owner="ReplicaSet", grace=600)
    pod(api, node, "next", owner="ReplicaSet")
    spec = {**rooted(api_access), "operation": "drain", "name": node, "check": False, "seconds": 60}
    script = f"from hostside import membership\nprint('draining', flush=True)\nmembership.main({spec!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"draining\n"
    eventually(
        lambda: [one for one in drain.pods(api, node) if one["metadata"].get("deletionTimestamp")],
        10,
        "the pod is terminating",
    )
    assert process.poll() is None
    process.stdout.close()
    assert ends(process, 3) == 1
    assert api.request("GET", f"/api/v1/nodes/{node}")["spec"]["unschedulable"] is True
    assert f"node.{node}" not in notes.read(api, membership.MARKS)
    assert "default/slow" in map(drain.title, drain.pods(api, node))
