"""A host that was taken over answers as it likes: the control node runs nothing for it, and the run fails naming it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.action.preflight import _check_facts
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.facts import Facts
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import validated

from kubeinstall.paths import collection_root, playbook
from tests.unit.test_cases import GOOD

HOSTS: dict[str, Any] = {
    "all": {"vars": {"ansible_become": False, "ansible_user": "root"}},
    "etcd": {"hosts": {"control-1": None}},
    "control_plane": {"hosts": {"control-1": {"ansible_host": "192.0.2.11"}}},
    "node": {"hosts": {"node-1": {"ansible_host": "192.0.2.21"}}},
}
NOTHING: dict[str, Any] = {
    "time": 0.0,
    "networks": [],
    "swap": [],
    "ports": [],
    "digests": {},
    "components": ["container-engine"],
    "versions": {},
    "settings": {},
    "engines": [],
    "docker_containers": 0,
    "resolvers": [],
    "selinux_off": [],
    "firewalld": None,
    "calendars": {},
    "answering": [],
    "expired": [],
    "registries": {},
    "flannel": None,
}
CHECKED: dict[str, Any] = {"checks": [], "certificates": {}}


class Run:
    """ansible-playbook with hosts whose ssh is tests/unit/plugins/far_end.py."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.executed = folder, folder / "executed"
        ssh = folder / "ssh"
        program = [sys.executable, str(Path(__file__).with_name("far_end.py")), str(folder)]
        ssh.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n')
        ssh.chmod(0o755)
        HOSTS["all"]["vars"]["ansible_ssh_executable"] = str(ssh)
        (folder / "hosts.json").write_text(json.dumps(HOSTS))

    def takes_over(self, name: str = "control-1") -> dict[str, Any]:
        """What has Ansible take this machine for a host, and run a command here as its Python."""
        python = f"touch {self.executed}; true"
        local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": python}
        return {"add_host": {"host_name": name, "host_vars": local}}

    def facts(self, name: str, address: str) -> dict[str, Any]:
        interface = [{"link": "eth0", "address": f"{address}/24"}]
        return {"probe": {**NOTHING, **GOOD, "hostname": name, "machine_id": name, "networks": interface}}

    def __call__(self, name: str, answers: dict[str, Any], *arguments: str, fails: bool = True) -> str:
        (self.folder / "answers.json").write_text(json.dumps(answers))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.folder / "hosts.json"), *arguments]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(collection_root() / "ansible.cfg"), "COLUMNS": "1000"}
        environment["PYTHONPATH"] = str(collection_root())
        done = subprocess.run(
            [*command, str(playbook(name))], capture_output=True, text=True, check=False, env=environment, timeout=300
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_an_answer_without_a_registry_that_was_asked_is_refused(run: Run) -> None:
    facts = validated({**run.facts("node-1", "192.0.2.21")["probe"], "time": 0.0}, Facts)
    _check_facts(facts, {"registries": {}, "calendars": []})
    with pytest.raises(AnsibleActionFail, match="not about the disks, registries and calendar"):
        _check_facts(facts, {"registries": {"registries": [{"name": "registry.example"}]}, "calendars": []})
    with pytest.raises(AnsibleActionFail, match="not about the disks, registries and calendar"):
        _check_facts(facts, {"registries": {}, "calendars": ["daily"]})


def test_a_verification_runs_nothing_for_a_node(run: Run) -> None:
    answers = {
        "192.0.2.11": {"verify_host": CHECKED, "verify_cluster": {"checks": [], "network": None}},
        "192.0.2.21": {"verify_host": CHECKED | run.takes_over()},
    }
    output = run("verify", answers)
    assert not run.executed.exists(), output
    assert "192.0.2.21 verify_host" in (run.folder / "asked").read_text()
    assert "the answer of this host to hostside.verify_host was refused: add_host: Extra inputs" in output, output
    assert "fatal: [node-1]" in output


@pytest.fixture
def good(run: Run) -> dict[str, dict[str, Any]]:
    """What two hosts answer on which nothing is installed, and nothing differs."""
    control_plane = {
        "reboot ask": {"roll": {}},
        "reboot": {"changes": []},
        "boot": {"booted": 1.0, "since": None},
        "flannel_network": {"shares": {}},
        "manifests": {"changes": [], "notices": [], "answered": False},
        "etcd_membership": {"changes": []},
        "etcd_users": {"changes": [], "turned_on": False},
    }
    return {
        "192.0.2.11": run.facts("control-1", "192.0.2.11") | control_plane,
        "192.0.2.21": run.facts("node-1", "192.0.2.21")
        | {"reset": {"removed": [], "kept": [], "backups": {"count": 0, "newest": ""}}},
    }


def test_a_dry_run_runs_nothing_for_a_node(run: Run, good: dict[str, dict[str, Any]]) -> None:
    """It claims to have an engine that is to be replaced, to be in the play for that."""
    bad = good["192.0.2.21"]
    bad |= {"component container-engine": {"replaces": ["docker"]}, "reset": bad["reset"] | run.takes_over("node-1")}
    output = run("site", good, "--check")
    assert not run.executed.exists(), output
    assert "192.0.2.21 reset" in (run.folder / "asked").read_text()
    assert "fatal: [node-1]" in output
    assert "the answer of this host to hostside.reset was refused: add_host: Extra inputs" in output


def test_a_plan_goes_on_without_an_unreachable_host(run: Run, good: dict[str, Any]) -> None:
    good["192.0.2.21"] = None
    output = run("site", good, "--check")
    said = "unreachable over SSH: ssh: connect to host 192.0.2.21 port 22: No route to host"
    assert f"{said}. The plan leaves this host out." in output
    # To the end.
    assert "192.0.2.11 manifests" in (run.folder / "asked").read_text(), output
    assert "ok=1 " in next(line for line in output.splitlines() if line.startswith("node-1 ")), output


def test_a_run_does_not_begin_without_one(run: Run, good: dict[str, Any]) -> None:
    good["192.0.2.21"] = None
    output = run("site", good)
    assert "node-1: it cannot be reached: connect to host 192.0.2.21 port 22: No route to host" in output
    assert "component" not in (run.folder / "asked").read_text()


def test_a_dry_run_runs_nothing_for_a_control_plane(run: Run, good: dict[str, dict[str, Any]]) -> None:
    good["192.0.2.11"]["etcd_membership"] |= run.takes_over()
    output = run("site", good, "--check")
    assert not run.executed.exists(), output
    assert "fatal: [control-1]" in output
    assert "the answer of this host to hostside.etcd_membership was refused: add_host: Extra inputs" in output


def test_a_dry_run_has_only_hosts_with_another_engine_change_it(run: Run, good: dict[str, dict[str, Any]]) -> None:
    """What the task does not ask for can't be claimed."""
    good["192.0.2.21"] |= {"component": {"replaces": ["etcd", "kubelet"]}}
    run("site", good, "--check", fails=False)
    assert "192.0.2.21 reset" not in (run.folder / "asked").read_text()
