"""The local cache of components: ROOT/COMPONENT/VERSION/ARCHITECTURE/FILE, beside each file its record FILE.json.

What a record says holds only in a cache that only its owner can write to, so any other is refused. A release is also
judged by the catalogue: its record names the digest of upstream's file that it was taken from.

The record is written last and is what makes a file present: a run killed anywhere leaves a file that is whole or one
that does not count. Several runs and the workers of one run share a cache: each writes under its directory's lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from kubeinstall.components.catalogue import Catalogue, architectures
from kubeinstall.components.progress import Progress, Silent
from kubeinstall.errors import ComponentError, InputError
from kubeinstall.ownership import foreign_owner, user_name, writers

__all__ = ["File", "Store"]


@dataclass(frozen=True)
class File:
    """One program in the cache. `sha256` is hex, `size` in bytes, `source` a sentence's worth of where it came from."""

    component: str
    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: Path
    source: str


@dataclass(frozen=True)
class _Record:
    sha256: str
    size: int
    source: str
    # The digest of upstream's file that it comes from; none for a build, and for what older versions have stored.
    release: str | None = None


class Store:
    """The cache under `root` (default: the user's cache directory, XDG_CACHE_HOME is honoured)."""

    def __init__(self, root: Path | None = None, *, catalogue: Catalogue | None = None) -> None:
        self.root = root if root is not None else platformdirs.user_cache_path("kubeinstall") / "components"
        self.catalogue = catalogue or Catalogue.load()

    def directory(self, component: str, version: str, architecture: str) -> Path:
        """Where the files of one component lie. InputError for a name, version or architecture that is not known."""
        self.catalogue.version(component, version)
        if architecture not in architectures:
            raise InputError(f"unknown architecture {architecture!r}", remedy=f"known are {', '.join(architectures)}")
        return self.root / component / version / architecture

    def locate(self, file_name: str, version: str, architecture: str) -> File | None:
        """The file if the cache has it. Cheap: it reads the record and compares the size, it does not hash the file."""
        component = self.catalogue.component_of(file_name)
        path = self.directory(component, version, architecture) / file_name
        record = _read_record(path)
        if record is None:
            return None
        self._refuse_other_writers(path)
        published = self._published(component, version, architecture)
        if record.release and published and record.release != published:
            return None
        try:
            if path.stat().st_size != record.size:
                return None
        except FileNotFoundError:
            return None
        return File(component, file_name, version, architecture, record.sha256, record.size, path, record.source)

    def verified(
        self, file_name: str, version: str, architecture: str, progress: Progress | None = None
    ) -> File | None:
        """Like `locate`, and hashes the file: one that is not what its record and the catalogue say counts as absent.

        That is reported.
        """
        file = self.locate(file_name, version, architecture)
        if file is None:
            component = self.catalogue.component_of(file_name)
            if (self.directory(component, version, architecture) / file_name).exists():
                _say_corrupt(
                    progress, file_name, version, "does not have the size it was stored with, or lost its record"
                )
            return None
        if sha256_of(file.path) != file.sha256:
            _say_corrupt(progress, file_name, version, "does not have the digest it was stored with")
            return None
        published = self._published(file.component, version, architecture)
        release = self.catalogue.component(file.component).release
        bare = file.source.startswith("release ") and release is not None and not release.members
        if bare and published and digest_of(file.path, published) != published:
            _say_corrupt(progress, file_name, version, "does not have the digest that the catalogue names")
            return None
        return file

    def pinned(self, file_name: str, version: str, architecture: str) -> str | None:
        """The sha256 that was recorded for a file, also when the file itself is gone or corrupt."""
        component = self.catalogue.component_of(file_name)
        record = _read_record(self.directory(component, version, architecture) / file_name)
        return record.sha256 if record else None

    def add(
        self, file_name: str, version: str, architecture: str, made: Path, source: str, release: str | None = None
    ) -> File:
        """Takes `made` (a file in `workspace`, which it consumes) into the cache, with the mode 0755.

        `release` is the digest of upstream's file that it was taken from.
        """
        component = self.catalogue.component_of(file_name)
        path = self.directory(component, version, architecture) / file_name
        record = _Record(sha256_of(made), made.stat().st_size, source, release)
        made.chmod(0o755)
        _sync(made)
        made.replace(path)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".record-", delete=False) as temporary:
            json.dump(asdict(record), temporary, indent=1)
            temporary.flush()
            os.fsync(temporary.fileno())
        # A temporary file is its owner's alone; a cache may be shared with other users.
        Path(temporary.name).chmod(0o644)
        Path(temporary.name).replace(path.with_name(f"{file_name}.json"))
        _sync(path.parent)
        return File(component, file_name, version, architecture, record.sha256, record.size, path, source)

    def _published(self, component: str, version: str, architecture: str) -> str | None:
        return self.catalogue.version(component, version).digests.get(architecture)

    def _refuse_other_writers(self, file: Path) -> None:
        """ComponentError where anybody but this user and root may write to a file, its record, or a folder above."""
        folders = [self.root / folder for folder in file.relative_to(self.root).parents]
        for path in (*folders, file, file.with_name(f"{file.name}.json")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if who := writers(status):
                me = user_name(os.geteuid())
                fix = f"chown -R {me} {self.root}" if foreign_owner(status) else f"chmod -R go-w {self.root}"
                raise ComponentError(
                    f"{who} may write to it, and so choose what runs on the hosts",
                    where=str(path),
                    remedy=f"if its files can be trusted, run {fix}; otherwise remove {self.root}",
                )

    @contextlib.contextmanager
    def lock(self, component: str, version: str, architecture: str, progress: Progress | None = None) -> Iterator[Path]:
        """Holds the one lock for writing a component's files, and yields its directory. Waits, and says so."""
        directory = self.directory(component, version, architecture)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        # Whatever the umask: a cache that others may write to is refused.
        for folder in (self.root, self.root / component, directory.parent, directory):
            folder.mkdir(mode=0o755, exist_ok=True)
        lock = FileLock(directory / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            (progress or Silent()).said(f"waiting for another run that is getting {component} {version}")
            lock.acquire()
        try:
            yield directory
        finally:
            lock.release()

    @contextlib.contextmanager
    def workspace(self, directory: Path) -> Iterator[Path]:
        """A temporary folder on the cache's own filesystem, so that `add` can rename. Call it under `lock`."""
        # What a killed run left behind: under the lock nobody else can own it.
        for stale in directory.glob(".work-*"):
            shutil.rmtree(stale, ignore_errors=True)
        for stale in directory.glob(".record-*"):
            stale.unlink(missing_ok=True)
        with _terminated_by_exception():
            folder = Path(tempfile.mkdtemp(prefix=".work-", dir=directory))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def clear_leftovers(self) -> None:
        """Removes the workspaces of runs that were killed, whatever they were getting."""
        for folder in self.root.glob("*/*/*/.work-*"):
            with contextlib.suppress(OSError, Timeout), FileLock(folder.parent / ".lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """SIGTERM ends the block by SystemExit, so that it cleans up; where nothing else handles the signal."""
    own = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if own:
        signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        if own:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(path: Path, like: str) -> str:
    """The digest of a file, in the algorithm of the digest `like` ("sha256:HEX")."""
    algorithm = like.partition(":")[0]
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def _read_record(path: Path) -> _Record | None:
    try:
        data = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
        release = data.get("release")
        return _Record(str(data["sha256"]), int(data["size"]), str(data["source"]), release and str(release))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # a damaged record vouches for nothing: the file is fetched again


def _say_corrupt(progress: Progress | None, file_name: str, version: str, what: str) -> None:
    (progress or Silent()).said(f"the cached {file_name} {version} {what}: it is not used, and had again")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
