"""Passwords typed on a terminal: Ansible gets them in this process and in runs, and they are nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pexpect

BIN = Path(sys.executable).parent / "kubeinstall"
SECRET = "correct-horse"
HOSTS = """\
etcd: {hosts: {a: }}
control_plane: {hosts: {a: {node_address: 192.0.2.1}}}
"""
# Asks as sudo does, and runs what it is given only for the right password.
SUDO = f"""\
#!{sys.executable}
import os, sys
sys.stderr.write(sys.argv[sys.argv.index("-p") + 1])
sys.stderr.flush()
password = b""
while not password.endswith(b"\\n"):
    password += os.read(0, 1)
if password != b"{SECRET}\\n":
    sys.exit("sudo: sorry")
os.execv("/bin/sh", sys.argv[sys.argv.index("/bin/sh"):])
"""
PLAY = """\
- hosts: all
  gather_facts: false
  become: true
  tasks:
    - ansible.builtin.raw: echo reached
      register: answer
    - ansible.builtin.assert: {that: "'reached' in answer.stdout"}
"""
RUN = """\
import sys
from kubeinstall import passwords, runs
passwords.ask_become()
result = runs.run([sys.argv[1]], sys.argv[2])
print(result.status, [failure.message for failure in result.failures], result.directory)
"""


def test_a_vault_is_opened(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    vault = tmp_path / "group_vars" / "all" / "vault.yml"
    vault.write_text("cluster_name: hidden\n")
    (tmp_path / "password").write_text(SECRET)
    encrypt = "from ansible.cli.vault import main; import sys; sys.argv[0] = 'ansible-vault'; main()"
    command = [sys.executable, "-c", encrypt, "encrypt", "--vault-password-file", str(tmp_path / "password")]
    subprocess.run([*command, str(vault)], check=True, capture_output=True)
    (tmp_path / "password").unlink()
    child = pexpect.spawn(str(BIN), ["validate", "-i", str(tmp_path), "--ask-vault-pass"], encoding="utf-8", timeout=60)
    child.expect("Vault password: ")
    child.sendline(SECRET)
    child.expect("the cluster hidden with 1 host")
    child.expect(pexpect.EOF)
    assert SECRET not in str(child.before)


def test_sudo_is_given_the_password(tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    hosts = f"here ansible_connection=local ansible_become_exe={sudo} ansible_become_flags=''\n"
    (tmp_path / "hosts").write_text(hosts)
    (tmp_path / "play.yml").write_text(PLAY)
    arguments = ["-c", RUN, str(tmp_path / "play.yml"), str(tmp_path / "hosts")]
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", timeout=60)
    child.expect("Password of sudo on the hosts: ")
    child.sendline(SECRET)
    child.expect(r"(ok|failed) \[.*\n")
    assert child.match[1] == "ok", child.match[0]
    child.expect(pexpect.EOF)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != sudo]
    assert len(written) > 2
    assert not [path for path in written if SECRET in path.read_text(errors="replace")]
