"""playbooks/preflight.yml by plain ansible-playbook, against this machine and against hosts that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeinstall.paths import collection_root, playbook

HOSTS = """\
etcd: {hosts: {here: }}
control_plane:
  hosts:
    here: {ansible_connection: local, ansible_become: false, node_address: 192.0.2.11}
node:
  hosts:
    gone: {ansible_host: 127.0.0.1, ansible_port: 1, node_address: 192.0.2.12}
    lost: {ansible_host: nowhere.invalid, node_address: 192.0.2.13}
    unready:
      ansible_connection: local
      ansible_become: false
      ansible_python_interpreter: /nonexistent/python3
      node_address: 192.0.2.14
"""
AFTER = """\
- name: Check
  ansible.builtin.import_playbook: {playbook}
- name: Go on
  hosts: all
  gather_facts: false
  tasks:
    - name: Touch something
      ansible.builtin.debug: {{msg: this must not be reached}}
"""


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "site.yml").write_text(AFTER.format(playbook=playbook("preflight")))
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(tmp_path / "hosts.yml"),
        str(tmp_path / "site.yml"),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(collection_root() / "ansible.cfg"), "COLUMNS": "1000"}
    environment["PYTHONPATH"] = str(collection_root())
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=collection_root()
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return run(tmp_path_factory.mktemp("inventory"))


def test_it_fails_once_with_all_hosts(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2, done.stdout
    for sentence in (
        "- gone: it cannot be reached: connect to host 127.0.0.1 port 1: Connection refused (check ansible_host",
        "- lost: it cannot be reached: Could not resolve hostname nowhere.invalid",
        "- unready: no Python at /nonexistent/python3: install python3",
        "- here: ",
    ):
        assert sentence in done.stdout + done.stderr


def test_nothing_comes_after_it(done: subprocess.CompletedProcess[str]) -> None:
    assert "Touch something" not in done.stdout
    assert "this must not be reached" not in done.stdout


def test_a_limit_asks_fewer_hosts_and_judges_the_whole_inventory(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "node.yml").write_text("kubelet_max_pods: 1\n")
    limited = run(tmp_path, "--limit", "here")
    assert "gone: it cannot be reached" not in limited.stdout
    assert "there is no variable kubelet_max_pods" in limited.stdout
    assert "gone, lost, unready, " in limited.stdout


REFUSAL = """\
- name: Judge
  hosts: here
  gather_facts: false
  tasks:
    - name: Judge with consent
      kubeinstall.cluster.validate: {data_losses: [PersistentVolumeClaim shop/data], prune_confirm: true}
    - name: Judge without consent
      kubeinstall.cluster.validate: {data_losses: [PersistentVolumeClaim shop/data]}
"""


def test_data_is_not_deleted_unasked(tmp_path: Path) -> None:
    run(tmp_path, "--list-tasks")
    (tmp_path / "refusal.yml").write_text(REFUSAL)
    hosts = HOSTS.replace("    here: {ansible_connection", "    here: {ansible_host: 192.0.2.11, ansible_connection")
    (tmp_path / "hosts.yml").write_text(hosts)
    results = {}
    for mode in ((), ("--check",)):
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(tmp_path / "hosts.yml"), *mode]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(collection_root() / "ansible.cfg"), "COLUMNS": "1000"}
        environment["PYTHONPATH"] = str(collection_root())
        results[mode] = subprocess.run(
            [*command, str(tmp_path / "refusal.yml")], capture_output=True, text=True, check=False, env=environment
        )
    refused, checked = results.values()
    assert refused.returncode == 2, refused.stdout
    assert "ok=1 " in refused.stdout
    assert "- PersistentVolumeClaim shop/data\nList them again, or allow it" in refused.stdout + refused.stderr
    assert checked.returncode == 0, checked.stdout
    assert "a run without --check asks first" in checked.stdout + checked.stderr


def test_variable_files_without_effect_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    for name in ("group_vars/all.yml", "group_vars/all/more.yml", "group_vars/nodes.yml", "host_vars/her.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("cluster_name: a\n")
    hosts = HOSTS.replace("    here: {ansible_connection", "    here: {ansible_host: 192.0.2.11, ansible_connection")
    (folder / "hosts.yml").write_text(hosts)
    (tmp_path / "judge.yml").write_text(REFUSAL.partition("    - name: Judge without")[0])
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(folder), str(tmp_path / "judge.yml")]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(collection_root() / "ansible.cfg"), "COLUMNS": "1000"}
    environment["PYTHONPATH"] = str(collection_root())
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "group_vars/all.yml: Ansible ignores this file, because the folder all is beside it" in said
    assert "the inventory has no group nodes (did you mean node?)" in said
    assert "the inventory has no host her (did you mean here?)" in said
