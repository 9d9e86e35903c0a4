"""etcd starts with its data, or by a bootstrap or join that a run has allowed; its unit refuses everything else."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles" / "etcd"


def render(template: str, **more: object) -> str:
    """A template of the role as it is on a host."""
    variables = {
        **DataLoader().load_from_file(str(ROLE / "defaults/main.yml"), trusted_as_template=True),
        **DataLoader().load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "inventory_hostname": "a",
        "etcd_address": "192.0.2.1",
        **more,
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    text = trust_as_template((ROLE / "templates" / template).read_text())
    return str(templar.template(text, escape_backslashes=False))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Stands for etcd: prints its arguments."""
    program = tmp_path / "etcd"
    program.write_text('#!/bin/sh\necho "started $*"\n')
    program.chmod(0o755)
    return program


def start(program: Path, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what ExecStart names as systemd would: lines joined, `$$` read as `$`."""
    text = render("etcd.service.j2", etcd_extra_arguments={"data-dir": str(data)}).replace("\\\n", " ")
    (command,) = [line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")]
    words = [word.replace("$$", "$").replace("/usr/local/bin/etcd", str(program)) for word in shlex.split(command)]
    return subprocess.run(
        words, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False
    )


def test_a_member_with_data_starts(program: Path, tmp_path: Path) -> None:
    (tmp_path / "data/member").mkdir(parents=True)
    done = start(program, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("started --name=a ")
    assert f" --data-dir={tmp_path}/data " in done.stdout


def test_a_member_without_data_is_refused_and_the_reason_is_in_the_journal(program: Path, tmp_path: Path) -> None:
    done = start(program, tmp_path / "data")
    assert done.returncode == 78, done.stdout
    assert f"etcd data is missing: {tmp_path}/data/member does not exist" in " ".join(done.stderr.split())


def test_a_run_that_bootstraps_lets_it_start(program: Path, tmp_path: Path) -> None:
    done = start(program, tmp_path / "data", ETCD_INITIAL_CLUSTER="a=https://192.0.2.1:2380")
    assert done.stdout.startswith("started "), done.stderr


def test_the_permission_ends_with_the_boot_and_with_readiness() -> None:
    lines = render("etcd.service.j2").splitlines()
    (file,) = [line.removeprefix("EnvironmentFile=-") for line in lines if line.startswith("EnvironmentFile=")]
    assert file.startswith("/run/")
    assert f"ExecStartPost=+/bin/rm -f {file}" in lines
    assert "RestartPreventExitStatus=78" in lines
    assert "RequiresMountsFor=/var/lib/etcd" in lines
