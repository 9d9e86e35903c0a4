"""The command as a user calls it: help, wrong input, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

BIN = Path(sys.executable).parent / "kubeinstall"
COMMANDS = (
    *("init", "validate", "apply", "run", "verify", "status", "kubeconfig", "kubectl", "reboot", "reset"),
    *("node", "control-plane", "etcd", "certs", "lab", "components", "image", "version"),
)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def kubeinstall(*arguments: str, cwd: Path | None = None, **environment: str) -> Done:
    env = {**os.environ, "COLUMNS": "120", **environment}
    env.pop("KUBEINSTALL_INVENTORY", None) if "KUBEINSTALL_INVENTORY" not in environment else None
    command = [str(BIN), *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """One host that nobody answers for: the discard port of this machine."""
    groups = {name: {"hosts": {"cp1": None}} for name in ("etcd", "control_plane", "node")}
    host = {"ansible_host": "127.0.0.1", "ansible_port": 9, "node_address": "192.0.2.1"}
    write(tmp_path / "mine" / "hosts.yml", {"all": {"hosts": {"cp1": host}, "children": groups}})
    return tmp_path / "mine"


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def test_help_lists_every_command_and_comes_at_once() -> None:
    kubeinstall("--help")
    started = time.monotonic()
    done = kubeinstall("--help")
    assert time.monotonic() - started < 1.5  # half a second on an idle machine
    assert done.code == 0
    assert [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = kubeinstall(command, "--help")
    assert done.code == 0, done.err
    assert f"Usage: kubeinstall {command}" in done.out
    if command not in ("node", "control-plane", "etcd", "lab", "components", "image"):
        assert "Example: kubeinstall " in done.out


def test_help_imports_neither_ansible_nor_docker() -> None:
    code = (
        "import sys; from kubeinstall import cli; print([m for m in ('ansible', 'docker', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["aply"], "'aply'. Did you mean 'apply'"),
        (["apply", "--chek"], "--chek"),
        (["validate", "-i", "nowhere"], "nowhere: there is no such inventory"),
        (["run", "kublet", "flanel", "-i", "nowhere"], "there is no role flanel (did you mean flannel?)"),
        (["kubeconfig", "-i", "nowhere"], "--out"),
    ],
)
def test_wrong_input_is_exit_code_2(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    done = kubeinstall(*arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_every_error_of_an_inventory_has_its_own_line(inventory: Path) -> None:
    write(inventory / "group_vars" / "all.yml", {"kubelet_verison": "1", "flannel_backend": "pigeon"})
    done = kubeinstall("apply", "-i", str(inventory))
    assert done.code == 2
    assert len([line for line in done.err.splitlines() if line.startswith("error: ")]) == 2
    assert done.err.endswith("2 errors, and nothing was touched\n")
    assert not (inventory / ".kubeinstall" / "runs").exists()


def test_the_inventory_may_come_from_the_environment(inventory: Path, tmp_path: Path) -> None:
    done = kubeinstall("validate", cwd=tmp_path, KUBEINSTALL_INVENTORY=str(inventory))
    assert done.code == 0, done.err
    assert "1 host (1 control plane, 1 etcd member)" in done.out
    assert "inventory/lab" in kubeinstall("validate", cwd=tmp_path).err


def test_a_misspelt_limit_is_refused_before_a_host_is_asked(inventory: Path) -> None:
    done = kubeinstall("run", "etcd", "-i", str(inventory), "--limit", "cp2,!nod")
    assert done.code == 2
    assert "there is no host or group cp2 (did you mean cp1?)" in done.err
    assert "there is no host or group nod (did you mean node?)" in done.err
    done = kubeinstall("run", "etcd", "-i", str(inventory), "--limit", "cp[1:2]")
    assert done.code == 2
    assert (
        "cp[1:2] matches no host: a range in brackets picks from the hosts of a group (did you mean cp1?)" in done.err
    )
    done = kubeinstall("run", "etcd", "-i", str(inventory), "--limit", "cp1,!control_plane")
    assert done.code == 2
    assert "--limit: cp1,!control_plane leaves no host of the cluster" in done.err


def test_a_reboot_refuses_wrong_names_before_a_host_is_asked(inventory: Path) -> None:
    done = kubeinstall("reboot", "cp2", "cp1", "cp1", "-i", str(inventory), "--yes")
    assert done.code == 2
    assert "the inventory names no host cp2 (did you mean cp1?)" in done.err
    assert "cp1: it is named twice" in done.err
    assert not (inventory / ".kubeinstall" / "runs").exists()


def test_an_unreachable_host_is_exit_code_1_and_named(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that before a quarter of an hour goes into components that a fresh machine lacks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = kubeinstall("run", "host", "-i", str(inventory), "--check")
    assert not list((tmp_path / "cache").rglob("components/*/*/*"))
    assert done.code == 1, done.out + done.err
    assert "cp1" in done.out
    assert "run the same command again" in done.out
    (journal,) = inventory.glob(".kubeinstall/runs/*/journal.jsonl")
    assert str(journal.parent) in done.out


def test_a_cluster_that_does_not_exist_yet_cannot_be_reached(inventory: Path, tmp_path: Path) -> None:
    for arguments in (["kubectl", "get", "nodes"], ["kubeconfig", "--out", str(tmp_path / "out")]):
        done = kubeinstall(arguments[0], "-i", str(inventory), *arguments[1:])
        assert done.code == 1
        assert "the cluster kubernetes does not exist yet (install it first: kubeinstall apply -i" in done.err
    assert not (tmp_path / "out").exists()


def test_status_of_a_silent_host_is_exit_code_1(inventory: Path) -> None:
    done = kubeinstall("status", "-i", str(inventory), "--json")
    assert done.code == 1, done.err
    found = json.loads(done.out)
    assert found["hosts"] == {"cp1": None}
    assert "ssh: connect to host 127.0.0.1 port 9: Connection refused" in found["problems"][0]
    assert found["problems"][0].startswith("cp1: unreachable over SSH: ssh: connect")
    assert "no answer" in kubeinstall("status", "-i", str(inventory)).out


def test_reset_without_a_terminal_wants_a_yes(inventory: Path) -> None:
    done = kubeinstall("reset", "-i", str(inventory))
    assert done.code == 2
    assert "This removes the cluster kubernetes from 1 host: cp1" in done.out
    assert "give --yes" in done.err
    assert not (inventory / ".kubeinstall" / "runs").exists()


def test_reset_asks_for_the_clusters_name(inventory: Path) -> None:
    child = pexpect.spawn(str(BIN), ["reset", "-i", str(inventory)], encoding="utf-8", timeout=60)
    child.expect("Backups of etcd on cp1 are not known: these hosts do not answer")
    child.expect("Type the cluster's name to go ahead: ")
    child.sendline("kubernets")
    child.expect("That is not its name: nothing was touched")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    # The hosts were asked for their backups, in check mode.
    runs = list((inventory / ".kubeinstall" / "runs").glob("*/journal.jsonl"))
    assert len(runs) == 1
    assert '"check": true' in runs[0].read_text()


def test_version() -> None:
    from kubeinstall import __version__

    assert kubeinstall("version").out.startswith(f"kubeinstall {__version__} with ansible-core 2.19")
    assert kubeinstall("--version").out == kubeinstall("version").out


@pytest.mark.parametrize("command", ["lab", "components", "node", "certs", "verify"])
def test_all_help_looks_alike(command: str) -> None:
    done = kubeinstall(command, "--help")
    assert "Options:" in done.out
    assert "\u256d" not in done.out  # a corner of a box
    assert "--install-completion" not in done.out


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("kubeinstall no", ["node"]),
        ("kubeinstall lab u", ["up"]),
        ("kubeinstall components f", ["fetch"]),
        ("kubeinstall node r", ["remove"]),
        ("kubeinstall verify --js", ["--json"]),
        ("kubeinstall node add --ask-v", ["--ask-vault-pass"]),
    ],
)
def test_completion(typed: str, found: list[str]) -> None:
    last = str(len(typed.split()) - 1)
    done = kubeinstall(_KUBEINSTALL_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=last)
    assert done.out.split() == found


@pytest.mark.parametrize(
    "command",
    ["validate", "apply", "run", "status", "kubectl", "verify", "reboot", "reset", "certs renew", "etcd backup"],
)
def test_all_that_read_an_inventory_can_ask_for_passwords(command: str) -> None:
    done = kubeinstall(*command.split(), "--help")
    assert "--ask-become-pass" in done.out
    assert "--ask-vault-pass" in done.out


def test_a_password_needs_a_terminal(inventory: Path) -> None:
    done = kubeinstall("validate", "-i", str(inventory), "--ask-vault-pass")
    assert done.code == 2
    assert "--ask-vault-pass: there is no terminal to ask on (name a file in ANSIBLE_VAULT_PASSWORD_FILE)" in done.err


def test_a_restore_wants_a_yes_and_a_backup(inventory: Path, tmp_path: Path) -> None:
    backup = tmp_path / "one.db"
    done = kubeinstall("etcd", "restore", str(backup), "-i", str(inventory))
    assert (done.code, "the backup cannot be read" in done.err) == (2, True)
    backup.write_bytes(b"x")
    done = kubeinstall("etcd", "restore", str(backup), "-i", str(inventory))
    assert done.code == 2
    assert "This replaces all that the cluster kubernetes holds by what it held at an unknown time (one.db)" in done.out
    assert "give --yes" in done.err
    assert not (inventory / ".kubeinstall" / "runs").exists()
