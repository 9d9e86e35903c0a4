"""Other keys than the cluster's, through the tasks of real runs on this machine: nothing begins with them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kubeinstall import backups, runs
from kubeinstall.events import RunResult
from kubeinstall.pki import PKI


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    """That of a cluster which was formed by a version without pins."""
    made = PKI(tmp_path / "pki")
    made.ensure()
    made.mark_formed({"cluster_id": "1"})
    return made


def run(tmp_path: Path, module: str, arguments: dict[str, Any], *, check: bool = False) -> RunResult:
    inventory, playbook = tmp_path / "cluster/hosts.yml", tmp_path / "play.yml"
    inventory.parent.mkdir(exist_ok=True)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"one": local}}}))
    task = {"name": "Try", f"kubeinstall.cluster.{module}": arguments}
    playbook.write_text(json.dumps([{"name": "Try", "hosts": "all", "gather_facts": False, "tasks": [task]}]))
    return runs.run([playbook], inventory, check=check)


def replace_key(pki: PKI) -> None:
    (pki.directory / "encryption.key").write_text("c29tZXRoaW5nIGVsc2UsIHNvbWV0aGluZyBlbHNlISE=")


def test_pins_are_added_once(pki: PKI, tmp_path: Path) -> None:
    arguments = {"pki_directory": str(pki.directory), "state": "pinned"}
    assert run(tmp_path, "formed", arguments, check=True).changed == 1
    assert not pki.pinned
    assert run(tmp_path, "formed", arguments).changed == 1
    assert pki.pinned
    assert (pki.formed or {})["cluster_id"] == "1"
    assert run(tmp_path, "formed", arguments).changed == 0


def test_a_component_begins_with_no_other_key(pki: PKI, tmp_path: Path) -> None:
    pki.pin_keys()
    replace_key(pki)
    result = run(tmp_path, "component", {"name": "demo", "pki_directory": str(pki.directory)}, check=True)
    assert result.status == "failed"
    assert "not the encryption.key that the cluster uses" in result.failures[0].message


def test_a_backup_under_another_key_is_refused_first(pki: PKI, tmp_path: Path) -> None:
    backup = tmp_path / "one.db"
    backup.write_bytes(b"snapshot")
    facts = {"sha256": hashlib.sha256(b"snapshot").hexdigest(), "encryption_key": pki.key_digest()}
    backups.facts_file(backup).write_text(json.dumps(facts))
    arguments = {"part": "read", "src": str(backup), "cluster": "c", "pki_directory": str(pki.directory)}
    assert run(tmp_path, "etcd_restore", arguments).status == "ok"
    replace_key(pki)
    result = run(tmp_path, "etcd_restore", arguments)
    assert "made under another encryption key" in result.failures[0].message
