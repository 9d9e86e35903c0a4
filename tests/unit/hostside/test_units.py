"""What is shown of a service that does not stay up."""

from __future__ import annotations

from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.units import up_to_last_exit

USAGE = [f"  --flag-{number} string" for number in range(500)]
EXIT = [
    "Error: unknown flag: --no-such-flag",
    "kube-scheduler.service: Main process exited, code=exited, status=1/FAILURE",
]


def test_the_next_start_does_not_hide_why_the_last_one_ended() -> None:
    shown = up_to_last_exit([*USAGE, *EXIT, "Started kube-scheduler.service", *USAGE])
    assert shown == [*USAGE[-23:], *EXIT]


def test_without_an_exit_the_last_lines_are_shown() -> None:
    assert up_to_last_exit(USAGE) == USAGE[-25:]
    assert up_to_last_exit([]) == []
