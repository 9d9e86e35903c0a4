"""A real sshd on loopback, reached as Ansible reaches a host."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kubeinstall import tether
from tests.lab import eventually
from tests.unit.hostside.conftest import free_ports

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


class Sshd:
    """One that lets a key of the tests in, on a port of loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, (self.port,) = folder, free_ports(1)
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "user.pub", folder / "authorized")
        kind, key, *_ = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    @property
    def arguments(self) -> str:
        return f"-o UserKnownHostsFile={self.folder / 'known'} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"

    @contextmanager
    def running(self, *settings: str) -> Iterator[None]:
        assert SSHD
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.folder / 'authorized'}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            *settings,
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.folder / "config"], stderr=log, stdout=log)
            self.process = process
            try:
                eventually(lambda: process.poll() is not None or self._answers(), 10, "sshd answers")
                if process.poll() is not None:
                    pytest.skip(f"sshd does not run here: {(self.folder / 'log').read_text().strip()}")
                yield
            finally:
                process.terminate()
                process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops it with all its sessions; the kernel goes on to accept connections and to acknowledge what is sent."""
        stopped = [self.process.pid, *tether._descendants(self.process.pid)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def by_ssh(sshd: Sshd, **more: Any) -> dict[str, Any]:
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": sshd.port,
        "ansible_user": getpass.getuser(),
        "ansible_ssh_private_key_file": str(sshd.folder / "user"),
        "ansible_ssh_common_args": sshd.arguments,
        **more,
    }
