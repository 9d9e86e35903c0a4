"""playbooks/preflight.yml asks a real registry from this machine; its password is in nothing that is printed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeinstall.paths import collection_root, playbook
from tests.unit.hostside.registry import PASSWORD, USER, authority_in, registry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hosts are asked as root")


def preflight(folder: Path, name: str, password: str, *groups: str) -> str:
    """What it prints, as loud as it can; it never ends well, since this machine is no host."""
    here = {"ansible_connection": "local", "ansible_become": False, "node_address": "192.0.2.11"}
    entry = {"name": name, "username": USER, "password": password, "authority": "ca.crt"}
    members = {"hosts": {"here": here | {"container_engine_registries": [entry]}}}
    other = {"hosts": {"other": here | {"node_address": "192.0.2.12"}}}
    hosts = {group: members if group in groups else other for group in ("etcd", "control_plane")}
    (folder / "hosts.json").write_text(json.dumps(hosts))
    command = [sys.executable, "-m", "ansible", "playbook", "-vvvv", "-i", str(folder / "hosts.json")]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(collection_root() / "ansible.cfg"), "COLUMNS": "1000"}
    environment["PYTHONPATH"] = str(collection_root())
    done = subprocess.run(
        [*command, str(playbook("preflight"))], capture_output=True, text=True, check=False, env=environment
    )
    return done.stdout + done.stderr


def test_a_refusal_names_registry_user_and_host_and_no_password(tmp_path: Path) -> None:
    text, context = authority_in(tmp_path)
    (tmp_path / "ca.crt").write_text(text)
    refused = "the registry {} refuses the user kube with the password that it was given"
    with registry(context) as (name, _):
        said = preflight(tmp_path, name, "hunter2hunter2", "control_plane")
        assert refused.format(name) in said
        assert "here, " in said
        assert "hunter2" not in said
        assert base64.b64encode(f"{USER}:hunter2hunter2".encode()).decode() not in said
        assert refused.format(name) not in preflight(tmp_path, name, PASSWORD, "control_plane")


def test_a_host_that_pulls_nothing_asks_nobody(tmp_path: Path) -> None:
    text, context = authority_in(tmp_path)
    (tmp_path / "ca.crt").write_text(text)
    with registry(context) as (name, _):
        said = preflight(tmp_path, name, "hunter2hunter2", "etcd")
    assert "things are in the way" in said
    assert "refuses the user" not in said
