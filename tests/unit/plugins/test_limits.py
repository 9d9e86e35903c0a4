"""What a call to a host may take: time, and memory of the control node."""

from __future__ import annotations

import subprocess
import time

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.answers import Answer
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import limits
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.limits import limited

SLEEP = ["sleep", "60"]


def test_what_was_started_meanwhile_is_ended_with_its_children() -> None:
    with subprocess.Popen(SLEEP) as other:
        time.sleep(0.1)
        began = time.monotonic()
        with limited(1) as limit:
            # As sshpass and ssh: the outer one's output ends with the inner one.
            done = subprocess.run(["sh", "-c", "sleep 60; true"], stdout=subprocess.PIPE, check=False)
        assert done.returncode == -9
        assert limit.exceeded.startswith("no answer within 1 s. A disk")
        assert time.monotonic() - began < 10
        assert other.poll() is None
        other.kill()


def test_a_transfer_that_moves_on_gets_its_time_again() -> None:
    with limited(1) as limit, subprocess.Popen(SLEEP) as process:
        for _ in range(5):
            time.sleep(0.4)
            limit.reset()
        assert process.poll() is None
        process.kill()
    assert not limit.exceeded


def test_an_endless_output_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY", 32 << 20)
    with limited(60) as limit:
        printed = subprocess.run(["yes"], stdout=subprocess.PIPE, check=False).stdout
    assert limit.exceeded.startswith("it printed more than 32 MiB. ")
    assert printed


def test_what_a_spec_lets_an_operation_wait_is_added() -> None:
    answer = Answer(None, seconds=10)
    assert answer.limit({"operation": "ask", "seconds": 300, "ready": {"timeout": 5}, "one": [{"patience": 1}]}) == 316
    assert answer.limit({"timeout": None, "seconds": "60"}) == 10
