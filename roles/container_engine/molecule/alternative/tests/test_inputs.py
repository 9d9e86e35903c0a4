"""What the engine makes of a pod when its settings are others, looked at from the host."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.lab import Lab, eventually

IMAGE = "kubeinstall.local/hold:1"


def ctr(lab: Lab, host: Host, command: str) -> list[list[str]]:
    """What containerd's own tool lists, in words."""
    printed = lab.sh(host, f"ctr --connect-timeout=3s --namespace=k8s.io {command}")
    return [line.split() for line in printed.splitlines()[1:]]


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    (host,) = lab.all
    return host


@pytest.fixture(scope="module")
def processes(lab: Lab, host: Host) -> list[int]:
    """The two processes of the pod: of the container that holds it together, and of its own."""

    def running() -> list[int]:
        found = [int(process) for _, process, state in ctr(lab, host, "task ls") if state == "RUNNING"]
        return found if len(found) == 2 else []

    return eventually(running, 30, "both containers of the pod run")


@pytest.mark.usefixtures("processes")
def test_pods_begin_with_the_image_that_was_asked_for(lab: Lab, host: Host) -> None:
    assert {image for _, image, _ in ctr(lab, host, "containers ls")} == {IMAGE}


def test_control_groups_are_made_by_the_engine_and_not_by_systemd(lab: Lab, host: Host, processes: list[int]) -> None:
    for process in processes:
        groups = lab.sh(host, f"cat /proc/{process}/cgroup")
        assert "/kubepods/besteffort/pod" in groups
        assert ".slice" not in groups


def test_no_oom_score_is_asked_for_that_the_host_may_not_give(lab: Lab, host: Host, processes: list[int]) -> None:
    engine, *pod = (
        int(lab.sh(host, f"cat /proc/{process}/oom_score_adj"))
        for process in ("$(systemctl show --property=MainPID --value containerd)", *processes)
    )
    assert engine == int(lab.sh(host, "cat /proc/1/oom_score_adj"))
    assert min(pod) >= engine


def test_the_engine_says_as_much_as_it_was_asked_to(lab: Lab, host: Host) -> None:
    assert "level=debug" in lab.journal(host, "containerd", lines=500)
