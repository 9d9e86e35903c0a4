"""The lab's own SSH key and known_hosts, and the ssh command line that uses them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kubeinstall.errors import LabError

__all__ = ["SshState"]


@dataclass(frozen=True)
class SshState:
    """The folder (0700) with a lab's key and the host keys its hosts are known by."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def public_key(self) -> str:
        """The lab's public key as one line of authorized_keys; the pair is made at the first call."""
        if not self.key.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self._write(
                self.key,
                Ed25519PrivateKey.generate().private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.OpenSSH,
                    serialization.NoEncryption(),
                ),
            )
        try:
            private = serialization.load_ssh_private_key(self.key.read_bytes(), password=None)
        except ValueError as error:
            raise LabError(
                f"the lab's SSH key {self.key} cannot be read: {error}", remedy="`kubeinstall lab down`, then up again"
            ) from error
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return f"{public.decode()} kubeinstall-lab"

    def write_known_hosts(self, keys: Mapping[str, tuple[str, str]]) -> None:
        """Know exactly these hosts: name -> (address, public host key as `ssh-ed25519 AAAA…`)."""
        lines = [f"{name},{address} {' '.join(key.split()[:2])}\n" for name, (address, key) in sorted(keys.items())]
        self._write(self.known_hosts, "".join(lines).encode())

    def command(self, address: str, command: Sequence[str] = (), options: Sequence[str] = ()) -> list[str]:
        """The ssh command line for root at `address`: with this key and these host keys, not the user's own."""
        settings = (
            f'UserKnownHostsFile="{self.known_hosts}"',
            "GlobalKnownHostsFile=none",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
            *options,
        )
        flags = [word for setting in settings for word in ("-o", setting)]
        return ["ssh", "-F", "none", "-i", str(self.key), *flags, f"root@{address}", *command]

    def wait(self, name: str, address: str, seconds: float = 60) -> None:
        """Wait until the host lets us in and runs a command. Raises LabError with ssh's last words."""
        until = time.monotonic() + seconds
        argv = self.command(address, ["true"], ["BatchMode=yes", "ConnectTimeout=3"])
        while True:
            done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                return
            if time.monotonic() > until:
                last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
                raise LabError(f"SSH does not answer within {seconds:.0f} s: {last}", where=name)
            time.sleep(0.1)

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        # Never readable by others, not even for the moment between writing and chmod.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        temporary.replace(path)
