"""Files and directories: compare with what is wanted, write atomically, keep what was there before us."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from typing import Any

from .errors import HostError
from .host import Host

MASK = "(kept secret)"


def digest_of(path: str) -> str | None:
    """sha256 of a file's bytes, None where there is none."""
    sha = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as handle:
            buffer = memoryview(bytearray(1 << 20))
            while True:
                count = handle.readinto(buffer)
                if not count:
                    return sha.hexdigest()
                sha.update(buffer[:count])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{path} can't be read: {error.strerror}") from None


def read(path: str) -> str | None:
    """A text file's content, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(
            f"{path} can't be read: {error.strerror}; kubeinstall keeps a file of its own there: move what is there"
        ) from None


def attributes(path: str) -> str | None:
    """Mode and owner in the form compared and shown: `0644 0:0`; None where there is nothing."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"


def wanted_attributes(host: Host, item: dict[str, Any]) -> str:
    owner, group = item.get("owner", "root"), item.get("group") or item.get("owner", "root")
    uid, gid = host.uid(owner), host.gid(group)
    return f"{int(item['mode'], 8):04o} {owner if uid is None else uid}:{group if gid is None else gid}"


def compare_file(host: Host, item: dict[str, Any]) -> dict[str, Any] | None:
    """The difference between a wanted file and the host's, None where there is none.

    A difference is {kind, path, before, after, before_attributes, after_attributes}; secrets are masked. Of a file with
    an `identity` also other_identity: whether the host's has keys and none of the wanted ones.
    """
    path = host.path(item["dest"])
    before, after = read(path), item["content"]
    before_attributes, after_attributes = attributes(path), wanted_attributes(host, item)
    if before == after and before_attributes == after_attributes:
        return None
    difference = {
        "kind": "file",
        "path": item["dest"],
        "content": before != after,
        "before": before,
        "after": after,
        "before_attributes": before_attributes,
        "after_attributes": after_attributes,
    }
    if item.get("identity") and before is not None:
        there = set(re.findall(item["identity"], before))
        difference["other_identity"] = bool(there) and there.isdisjoint(re.findall(item["identity"], after))
    if item.get("secret"):
        changed = f"{MASK}: another content\n" if before != after else f"{MASK}\n"
        difference.update(before=None if before is None else f"{MASK}\n", after=changed)
    elif private(before_attributes) and not private(after_attributes):
        difference["before"] = f"{MASK}\n"
    return difference


def private(attributes: str | None) -> bool:
    """Whether nobody but its owner reads a file: what is not wanted any more, or by all now, could hold a secret."""
    return attributes is not None and not int(attributes.split()[0], 8) & 0o077


def left_over(host: Host, path: str) -> dict[str, Any]:
    """The difference of a file that is not wanted any more."""
    there = attributes(host.path(path))
    before = f"{MASK}\n" if private(there) else read(host.path(path))
    return {"kind": "file", "path": path, "before": before, "after": None, "before_attributes": there}


def compare_directory(host: Host, item: dict[str, Any]) -> dict[str, Any] | None:
    path = host.path(item["path"])
    before, after = attributes(path), wanted_attributes(host, item)
    if before is not None and not os.path.isdir(path):
        raise HostError(f"{item['path']} is not a directory: kubeinstall needs one there; move what is in its place")
    if before == after:
        return None
    return {"kind": "directory", "path": item["path"], "before_attributes": before, "after_attributes": after}


def make_directory(host: Host, item: dict[str, Any]) -> list[str]:
    """Make a directory as wanted; the ones that were not there before are returned, outermost first."""
    made = make_parents(host, item["path"])
    set_attributes(host, host.path(item["path"]), item)
    return made


def make_parents(host: Host, directory: str) -> list[str]:
    """Make a directory and what is missing above it; the ones made, outermost first."""
    made: list[str] = []
    while directory not in ("/", "") and not os.path.isdir(host.path(directory)):
        made.insert(0, directory)
        directory = os.path.dirname(directory)
    for part in made:
        os.mkdir(host.path(part), 0o755)
    return made


def set_attributes(host: Host, path: str, item: dict[str, Any]) -> None:
    """Give a file or directory its owner and mode. HostError for a link: its target is nothing of ours."""
    handle = _open(path)
    try:
        _give(host, handle, path, item)
    finally:
        os.close(handle)


def _open(path: str) -> int:
    """A descriptor of the file itself: a link put in its place meanwhile changes nothing elsewhere."""
    try:
        # A pipe without a writer would keep the open waiting.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        what = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise HostError(f"owner and mode of {path} can't be set: {what}") from None


def _give(host: Host, handle: int, path: str, item: dict[str, Any]) -> None:
    owner, group = item.get("owner", "root"), item.get("group") or item.get("owner", "root")
    uid, gid = host.uid(owner), host.gid(group)
    if uid is None or gid is None:
        raise HostError(f"{path} is to belong to {owner}:{group}, and there is no such user or group on the host")
    os.fchown(handle, uid, gid)
    os.fchmod(handle, int(item["mode"], 8))


def restore_attributes(path: str, before: str) -> None:
    """Give a path the mode and owner that attributes() once told of it."""
    mode, owner = before.split()
    uid, gid = owner.split(":")
    handle = _open(path)
    try:
        os.fchown(handle, int(uid), int(gid))
        os.fchmod(handle, int(mode, 8))
    finally:
        os.close(handle)


def give_tree(directory: str, uid: int, gid: int) -> None:
    """A directory (0700) and all in it to an owner, links themselves instead of their targets."""
    for path, directories, names, handle in os.fwalk(directory):
        for name in [*directories, *names]:
            os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
        if path == directory:
            os.fchmod(handle, 0o700)
            os.fchown(handle, uid, gid)


def temporary_name(path: str) -> str:
    """Beside its final place, so that the rename is atomic; always the same name, so that a killed run leaves one at
    most.
    """
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.kubeinstall-new")


def write_file(host: Host, item: dict[str, Any]) -> None:
    """Write to a temporary name, sync, rename: at every moment the old file or the new one is there, whole."""
    path = host.path(item["dest"])
    temporary = temporary_name(path)
    try:
        # What a killed run has left, or somebody else: nothing is written through it.
        remove_file(temporary)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(item["content"].encode())
            stream.flush()
            _give(host, stream.fileno(), temporary, item)
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except OSError as error:
        remove_file(temporary)
        raise write_error(path, error) from None
    sync_directory(path)


def sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: str) -> None:
    """A rename survives a power cut only once its directory is on the disk."""
    sync(os.path.dirname(path))


def write_error(path: str, error: OSError) -> HostError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            f"the disk is full: {path} was not written and what was there is unchanged; make room and run again"
        )
    return HostError(f"{path} can't be written: {error.strerror}")


def remove_file(path: str) -> bool:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def keep_original(host: Host, path: str, kept: str) -> None:
    """Copy a file that somebody else put where we are about to write, so that a reset can give it back."""
    target = host.path(kept)
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    copy_whole(host.path(path), target)


def copy_whole(source: str, target: str) -> None:
    """A copy with mode, times and owner, links as links; it appears under its name when it is whole."""
    temporary = temporary_name(target)
    remove_file(temporary)
    shutil.copy2(source, temporary, follow_symlinks=False)
    status = os.lstat(source)
    os.chown(temporary, status.st_uid, status.st_gid, follow_symlinks=False)
    os.rename(temporary, target)


def clear_delivery(delivered: list[str]) -> None:
    """Remove what was delivered to this host and has been taken in, and its folder."""
    for path in delivered:
        remove_file(path)
    for directory in {os.path.dirname(path) for path in delivered}:
        if os.path.isdir(directory) and not os.listdir(directory):
            os.rmdir(directory)
