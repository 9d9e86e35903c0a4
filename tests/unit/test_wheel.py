"""The wheel, installed apart from any checkout: the command, its playbooks and the collection work by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of a fresh environment that holds the wheel, in an empty folder; returns what it printed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    fresh = folder / "fresh"
    venv.create(fresh)
    install = ["--python", str(fresh / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    # The dependencies are borrowed from here; a .pth inside a folder added by one is not read, so the checkout is not.
    (site,) = fresh.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = folder / "empty"
    empty.mkdir()

    def program(name: str, *arguments: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        command = [str(fresh / "bin" / name), *arguments]
        done = subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return program


def test_the_command_lies_in_the_wheel(run: Run) -> None:
    said = run("kubeinstall", "version")
    assert "site-packages/ansible_collections/kubeinstall/cluster" in said
    assert "fresh" in said


def test_an_inventory_is_written_and_valid(run: Run) -> None:
    run("kubeinstall", "init", "mine")
    assert "is right" in run("kubeinstall", "validate", "-i", "inventory/mine")


def test_ansible_finds_the_collection_by_itself(run: Run) -> None:
    assert (
        "KUBEINSTALL.CLUSTER.COMPONENT"
        in run("python", "-m", "ansible", "doc", "-t", "module", "kubeinstall.cluster.component").upper()
    )


def test_every_playbook_is_there_and_readable(run: Run) -> None:
    code = "from kubeinstall.paths import collection_root as r; print(*sorted(r().glob('playbooks/*.yml')), sep='\\n')"
    playbooks = run("python", "-c", code).splitlines()
    assert {Path(path).name for path in playbooks} == {path.name for path in ROOT.glob("playbooks/*.yml")}
    run("kubeinstall", "init", "other")
    run("python", "-m", "ansible", "playbook", "--syntax-check", "-i", "inventory/other", *playbooks)


def test_a_run_reads_the_wheels_own_ansible_cfg(run: Run) -> None:
    code = "from kubeinstall.runs import environment; print(open(environment()['ANSIBLE_CONFIG']).read())"
    assert run("python", "-c", code).strip() == (ROOT / "ansible.cfg").read_text().strip()
