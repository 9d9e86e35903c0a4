"""Checks the schedule of backups by systemd's own parser: the hosts', or this machine's where none was asked."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping

from kubeinstall.cluster.inputs import Findings, Inputs
from kubeinstall.cluster.reports import Report

__all__ = ["SCHEDULE", "check_schedule"]

SCHEDULE = "etcd_backup_schedule"


def check_schedule(inputs: Inputs, reports: Mapping[str, Report], errors: Findings) -> None:
    """An empty one is none."""
    for host in inputs.hosts:
        schedule = host.values.get(SCHEDULE)
        if not isinstance(schedule, str) or not schedule:
            continue
        facts = reports[host.name].facts if host.name in reports else None
        refusal = facts.calendars.get(schedule) if facts else None
        if refusal is None:
            refusal = _refusal(schedule)
        if refusal:
            what = f"{SCHEDULE} is {schedule!r}, which systemd refuses: {refusal}"
            errors.add(what, "write for example daily, or Mon..Fri 02:00", hosts=[host], name=SCHEDULE)


@functools.cache
def _refusal(schedule: str) -> str:
    """What systemd on this machine says against it; empty where there is none to ask."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return ""
    done = subprocess.run(
        [program, "calendar", "--", schedule],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[0]
