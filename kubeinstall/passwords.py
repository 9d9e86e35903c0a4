"""Passwords that the user types, for Ansible in this process and in runs.

They are kept in anonymous memory of this process, which ends with it: never on a disk, a command line or in a run log.
Ansible finds them by its own environment variables.
"""

from __future__ import annotations

import atexit
import getpass
import os
import shutil
import sys
import tempfile
from pathlib import Path

from kubeinstall.errors import InputError

__all__ = ["ask_become", "ask_vault"]

BECOME = "ANSIBLE_BECOME_PASSWORD_FILE"
VAULT = "ANSIBLE_VAULT_PASSWORD_FILE"


def ask_become() -> None:
    """Asks for the password of sudo. Raises InputError where there is no terminal."""
    memory = _ask("--ask-become-pass", BECOME, "Password of sudo on the hosts: ")
    # Ansible resolves the path of this one, and anonymous memory has no name: a program reads it.
    folder = Path(tempfile.mkdtemp(prefix="kubeinstall-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    script = folder / "password"
    script.write_text(f"#!/bin/sh\nexec cat {memory}\n")
    script.chmod(0o700)
    os.environ[BECOME] = str(script)


def ask_vault() -> None:
    """Asks for the password of ansible-vault. To be called before Ansible is imported."""
    os.environ[VAULT] = _ask("--ask-vault-pass", VAULT, "Vault password: ")


def _ask(option: str, variable: str, prompt: str) -> str:
    """The path at which this user's processes read the password, for as long as this process lives."""
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on", where=option, remedy=f"name a file in {variable}")
    password = getpass.getpass(prompt)
    if not password:
        raise InputError("no password was given", where=option)
    memory = os.memfd_create(variable)
    # Executable, as it is made, Ansible would run it.
    os.fchmod(memory, 0o600)
    os.write(memory, password.encode())
    return f"/proc/{os.getpid()}/fd/{memory}"
