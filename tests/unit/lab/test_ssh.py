from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kubeinstall.errors import LabError
from kubeinstall.lab.ssh import SshState


def test_key_is_made_once_and_private(tmp_path: Path) -> None:
    state = SshState(tmp_path / "ssh")
    public = state.public_key()
    assert public.startswith("ssh-ed25519 AAAA")
    assert state.public_key() == public
    assert stat.S_IMODE(state.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert b"BEGIN OPENSSH PRIVATE KEY" in state.key.read_bytes()
    assert [path.name for path in state.folder.iterdir()] == ["id_ed25519"]


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("no key\n")
    with pytest.raises(LabError, match="cannot be read"):
        SshState(tmp_path).public_key()


def test_known_hosts_hold_exactly_these_hosts(tmp_path: Path) -> None:
    state = SshState(tmp_path)
    state.write_known_hosts({"lab-cp1": ("10.79.0.11", "ssh-ed25519 AAAA old@host")})
    state.write_known_hosts({"lab-node1": ("10.79.0.101", "ssh-ed25519 BBBB root@host")})
    assert state.known_hosts.read_text() == "lab-node1,10.79.0.101 ssh-ed25519 BBBB\n"


def test_command_checks_host_keys_and_ignores_the_users_ssh(tmp_path: Path) -> None:
    argv = SshState(tmp_path / "with space").command("10.79.0.11", ["uptime", "-p"])
    assert argv[:3] == ["ssh", "-F", "none"]
    assert argv[-3:] == ["root@10.79.0.11", "uptime", "-p"]
    assert "StrictHostKeyChecking=yes" in argv
    assert f'UserKnownHostsFile="{tmp_path}/with space/known_hosts"' in argv


def test_waiting_for_nobody_ends_in_an_error(tmp_path: Path) -> None:
    state = SshState(tmp_path)
    state.public_key()
    with pytest.raises(LabError, match="lab-cp1: SSH does not answer within 0 s: "):
        # Nothing of this machine listens on that loopback address.
        state.wait("lab-cp1", "127.255.255.254", seconds=0)
