"""The host as the other modules see it: a root directory, users, programs, and one lock."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import subprocess
import time
from collections.abc import Iterator

from .errors import HostError
from .waiting import follow_hold, pause

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# Root's alone: in /run/lock any user could hold the lock, or lay a link in its place.
LOCKS = "/run/kubeinstall"


class Host:
    """All paths are taken below `root`, so that the same code runs on a host and on a temporary directory."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def path(self, path: str) -> str:
        return self.root + path

    @property
    def architecture(self) -> str:
        machine = os.uname().machine
        if machine not in ARCHITECTURES:
            raise HostError(f"the processor architecture {machine} is not supported: amd64 and arm64 are")
        return ARCHITECTURES[machine]

    def uid(self, name: str) -> int | None:
        """The user's id, or None while there is no such user. Without root every file stays our own."""
        if os.geteuid() != 0:
            return os.geteuid()
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            return None

    def gid(self, name: str) -> int | None:
        if os.geteuid() != 0:
            return os.getegid()
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def run(
        self,
        command: list[str],
        *,
        check: bool = True,
        timeout: float = 60,
        environment: dict[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program; what it prints is returned. A failure is a HostError with the program's last lines."""
        full = dict(os.environ, LC_ALL="C", **(environment or {}))
        full["PATH"] = full.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                errors="replace",
                timeout=timeout,
                env=full,
                check=False,
            )
        except FileNotFoundError:
            raise HostError(f"the program {command[0]} is not on this host: install it") from None
        except subprocess.TimeoutExpired:
            raise HostError(f"`{' '.join(command)}` did not end within {timeout:.0f} s") from None
        if check and done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-1500:]
            raise HostError(f"`{' '.join(command)}` failed with code {done.returncode}: {said}")
        return done

    @contextlib.contextmanager
    def acting(self, purpose: str, *, check: bool) -> Iterator[None]:
        """Change the cluster from this host: with its lock, and no longer than the run holds the cluster.

        The next run waits for what this one left going here. With `check` there is nothing to wait for.
        """
        if check:
            yield
            return
        follow_hold()
        with self.lock(purpose):
            yield

    @contextlib.contextmanager
    def lock(self, purpose: str, timeout: float = 120) -> Iterator[None]:
        """One writer at a time: what an ended run left going on this host finishes before we begin."""
        handle = self._open_lock()
        try:
            deadline = time.monotonic() + timeout
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
                        raise HostError(
                            f"another run is still at work on this host ({holder or 'unknown'}) and has not ended"
                            f" within {timeout:.0f} s: wait for it, or end that process"
                        ) from None
                    pause(0.1)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}: {purpose}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def _open_lock(self) -> int:
        directory = self.path(LOCKS)
        try:
            os.makedirs(os.path.dirname(directory), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o700)
            folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(folder).st_uid != os.geteuid():
                    raise HostError(f"{LOCKS} belongs to another user than root: remove it and run again")
                os.fchmod(folder, 0o700)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                return os.open("lock", flags, 0o600, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise HostError(
                f"the lock in {LOCKS} can't be opened ({error.strerror}): remove it and run again"
            ) from None
