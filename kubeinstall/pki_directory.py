"""The files of a PKI directory on the control node: closed to other users, written whole, one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kubeinstall.certificates import AUTHORITIES
from kubeinstall.errors import PKIError
from kubeinstall.ownership import close_to_others

__all__ = ["BOOTSTRAP", "ETCD_USERS", "RECORD", "SHARED", "PKIDirectory"]

SHARED = ("service-account.key", "service-account.pub", "encryption.key")
RECORD = "formed.json"
BOOTSTRAP = "bootstrap.json"
# A mark for later runs that etcd may have users of ours.
ETCD_USERS = "etcd-users"
LOCK_SECONDS = 60


class PKIDirectory:
    """Reads and writes the named files ("etcd/ca.key", "encryption.key") of one cluster's PKI directory."""

    def __init__(self, directory: Path) -> None:
        """Opens the directory, which may not exist yet. Raises PKIError when it belongs to another user."""
        self.directory = Path(directory)
        self._close_to_others()

    def has(self, name: str) -> bool:
        """Whether the file of that name ("etcd/ca.key", "encryption.key") is there."""
        return (self.directory / name).is_file()

    def note(self, name: str) -> None:
        """Leaves a mark for later runs, which `has(f"{name}.json")` finds."""
        if not self.has(f"{name}.json"):
            with self._locked():
                self._write(f"{name}.json", "{}\n")

    def forget(self, name: str) -> None:
        """Removes the mark that note() left."""
        with self._locked():
            (self.directory / f"{name}.json").unlink(missing_ok=True)

    def _close_to_others(self) -> None:
        """A directory that was copied or restored may be open to other users. Only files of ours are touched."""
        files = [f"{name}/{part}" for name in AUTHORITIES for part in ("ca.crt", "ca.key")]
        names = ("", *AUTHORITIES, *files, *SHARED, RECORD, BOOTSTRAP, f"{ETCD_USERS}.json")
        close_to_others(self.directory, names)

    def _text(self, name: str) -> str:
        path = self.directory / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise PKIError(
                "it is missing",
                where=str(path),
                remedy="the first run makes it; if there was one, put the PKI directory back from a backup",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise PKIError(f"it cannot be read: {error}", where=str(path)) from error

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        temporary = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # Written under the lock only, so what lies there is left from a run that was killed.
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise PKIError(f"it cannot be written: {error.strerror}", where=str(path)) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            lock = FileLock(self.directory / ".lock", timeout=LOCK_SECONDS, mode=0o600)
            lock.acquire()
        except Timeout:
            raise PKIError(f"another run has held it for {LOCK_SECONDS} s", where=str(self.directory)) from None
        except OSError as error:
            raise PKIError(
                f"it cannot be used as the PKI directory: {error.strerror}",
                where=str(self.directory),
                remedy="set cluster_pki_directory to a place that you may write to",
            ) from error
        try:
            yield
        finally:
            lock.release()
