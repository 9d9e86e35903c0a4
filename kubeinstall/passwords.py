"""Passwords that the user types, for Ansible in this process and in runs.

They are kept in anonymous memory of this process, which ends with it: never on a disk, a command line or in a run log.
Ansible reads them by the paths that its own environment variables name.
"""

from __future__ import annotations

import getpass
import os
import sys

from kubeinstall.errors import InputError

__all__ = ["ask_become", "ask_vault"]


def ask_become() -> None:
    """Asks for the password of sudo. Raises InputError where there is no terminal."""
    _offer("ANSIBLE_BECOME_PASSWORD_FILE", "--ask-become-pass", "Password of sudo on the hosts: ")


def ask_vault() -> None:
    """Asks for the password of ansible-vault. To be called before Ansible is imported."""
    _offer("ANSIBLE_VAULT_PASSWORD_FILE", "--ask-vault-pass", "Vault password: ")


def _offer(variable: str, option: str, prompt: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on", where=option, remedy=f"name a file in {variable}")
    password = getpass.getpass(prompt)
    if not password:
        raise InputError("no password was given", where=option)
    memory = os.memfd_create(variable)
    # Executable, as it is made, Ansible would run it.
    os.fchmod(memory, 0o600)
    os.write(memory, password.encode())
    os.environ[variable] = f"/proc/{os.getpid()}/fd/{memory}"
