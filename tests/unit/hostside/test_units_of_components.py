"""What a component does with its unit: systemd is told of every unit file, and a unit that is wanted no more ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.hostside.test_component import run, spec_of

SYSTEMCTL = """#!/bin/sh
echo "$@" >>{log}
[ "$1" != --no-block ] || echo >>{log}.starts
[ "$1" != show ] || printf '%s\\n' LoadState=loaded ActiveState=active UnitFileState=enabled \\
    "InvocationID=$(grep -c '' {log}.starts)"
"""
TIMER = "/etc/systemd/system/demo.timer"
SERVICE = "/etc/systemd/system/demo.service"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemctl was told; each start is another invocation."""
    log = tmp_path / "log"
    log.touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL.format(log=log))
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return log


def apply(root: Path, service: str | None) -> None:
    names = {TIMER: "timer", SERVICE: service} if service else {}
    files: list[dict[str, Any]] = [
        {"dest": path, "content": content, "mode": "0600", "restart": path == TIMER} for path, content in names.items()
    ]
    run("apply", spec_of(root, files=files, unit="demo.timer" if service else None, restarts=False))


def told(log: Path) -> list[str]:
    lines = [line for line in log.read_text().splitlines() if not line.startswith("show")]
    log.write_text("")
    return lines


def test_a_service_beside_the_unit_is_read_anew_and_restarts_nothing(tmp_path: Path, log: Path) -> None:
    apply(tmp_path / "root", "one")
    assert "daemon-reload" in told(log)
    apply(tmp_path / "root", "two")
    assert told(log) == ["daemon-reload"]
    apply(tmp_path / "root", "two")
    assert told(log) == []


def test_a_unit_that_is_wanted_no_more_ends_before_its_files_go(tmp_path: Path, log: Path) -> None:
    apply(tmp_path / "root", "one")
    told(log)
    apply(tmp_path / "root", None)
    assert told(log) == ["disable --now --no-reload --quiet demo.timer"]
    assert not (tmp_path / "root" / TIMER[1:]).exists()
    apply(tmp_path / "root", None)
    assert told(log) == []
