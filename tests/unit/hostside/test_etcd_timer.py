"""What etcd's backup timer runs: it removes exactly this member's oldest backups."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.hostside.test_etcd_start import render

PROGRAMS = {"etcdctl": '[ "$6" != save ] || echo snapshot >"$7"', "etcdutl": ":", "stat": "echo 1000"}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """etcd's programs, which the script needs and which have tests of their own."""
    (tmp_path / "bin").mkdir()
    for name, body in PROGRAMS.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_backups_of_another_member_in_a_shared_folder_are_kept(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    others = {f"a-1-2020010{day}T000000Z.db" for day in range(1, 5)} | {"a-old-Z.db", "mine.db"}
    own = [f"a-2021010{day}T000000Z.db" for day in range(1, 5)]
    for name in (*others, *own):
        (folder / name).touch()
    (folder / f"{own[0]}.json").touch()
    script = tmp_path / "etcd-backup"
    script.write_text(render("etcd-backup.j2", etcd_backup_directory=str(folder), etcd_backup_keep=2))
    done = subprocess.run(["sh", script], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    left = {file.name for file in folder.iterdir()}
    assert others <= left
    assert [name for name in own if name in left] == own[-1:]
    assert f"{own[0]}.json" not in left
    assert len([name for name in left - others if name.endswith(".db")]) == 2
