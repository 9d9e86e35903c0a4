"""The digests of the binaries that a cluster's hosts run, in component-digests.txt beside the inventory.

One line for each: COMPONENT VERSION ARCHITECTURE FILE SHA256. A line is added when a host first runs the binary, and
holds for the cluster from then on: control nodes that share the inventory agree on it, whatever their own caches have.
The ending keeps Ansible from reading the file as an inventory.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kubeinstall.components.store import File
from kubeinstall.errors import ComponentError, InputError

__all__ = ["NAME", "Key", "Pins"]

NAME = "component-digests.txt"
HEADER = (
    "# Digests of the binaries that this cluster's hosts run. kubeinstall adds lines; keep it in version control.\n"
    "# To replace a binary by another build of the same version, remove its line and run kubeinstall apply.\n"
)
LINE = re.compile(r"(\S+) (\S+) (\S+) (\S+) ([0-9a-f]{64})")
# Component, version, architecture, file.
Key = tuple[str, str, str, str]


class Pins:
    """The pinned digests of one inventory; without a directory (an inventory that is no file) there are none."""

    def __init__(self, directory: Path | None) -> None:
        self.path = directory / NAME if directory else None

    def read(self) -> dict[Key, str]:
        """All of them. Raises InputError, with the line, where the file is not as it was written."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.path else []
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"it cannot be read: {error}", where=str(self.path)) from error
        found: dict[Key, str] = {}
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            match = LINE.fullmatch(line)
            where = f"{self.path}, line {number}"
            if not match:
                raise InputError(f"not COMPONENT VERSION ARCHITECTURE FILE SHA256: {line!r}", where=where)
            component, version, architecture, name, digest = match.groups()
            key = (component, version, architecture, name)
            if key in found:
                raise InputError(f"duplicate entry of {name} {version} ({architecture})", where=where)
            found[key] = digest
        return found

    def check(self, files: Iterable[File]) -> None:
        """Raises ComponentError for a file of the cache that is not the one that the cluster's hosts run."""
        pinned = self.read()
        for file in files:
            digest = pinned.get((file.component, file.version, file.architecture, file.name), file.sha256)
            if digest != file.sha256:
                raise ComponentError(
                    f"{file.name} {file.version} ({file.architecture}) is another build than the one on this cluster's"
                    f" hosts: its digest is {file.sha256}, theirs {digest}",
                    where=str(file.path),
                    remedy="copy the cache of the machine that installed them. To put this build on all hosts instead,"
                    f" remove its line from {self.path}",
                )

    def add(self, digests: Mapping[Key, str]) -> None:
        """Adds those that are not pinned yet. Any number of processes may do so at once. Raises InputError."""
        if self.path is None or digests.keys() <= self.read().keys():
            return
        try:
            with self._locked():
                lines = [" ".join((*key, digest)) + "\n" for key, digest in sorted({**digests, **self.read()}.items())]
                temporary = self.path.with_name(f".{NAME}.new")
                temporary.write_text(HEADER + "".join(lines), encoding="utf-8")
                temporary.chmod(0o644)
                temporary.replace(self.path)
        except OSError as error:
            raise InputError(f"it cannot be written: {error.strerror}", where=str(self.path)) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds a lock on the directory itself, which leaves no file behind."""
        assert self.path  # noqa: S101 - asked by the caller
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)
