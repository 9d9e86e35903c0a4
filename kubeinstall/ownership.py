"""Who may write to a file on the control node: what others may change decides what runs as root on the hosts."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from kubeinstall.errors import PKIError

__all__ = ["close_to_others", "exposed", "foreign_owner", "user_name", "writers"]


def close_to_others(directory: Path, names: Iterable[str]) -> None:
    """Takes all rights of other users from those of the named files in a PKI directory that exist.

    Raises PKIError where one belongs to a user other than this one and root.
    """
    for path in (directory / name for name in names):
        try:
            status = path.stat()
            if owner := foreign_owner(status):
                me = user_name(os.geteuid())
                raise PKIError(
                    f"it belongs to user {owner}, not to {me}",
                    where=str(path),
                    remedy=f"run kubeinstall as {owner}, or: chown -R {me} {directory}",
                )
            if status.st_mode & 0o077:
                path.chmod(0o700 if stat.S_ISDIR(status.st_mode) else 0o600)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise PKIError(f"it cannot be closed to other users: {error.strerror}", where=str(path)) from error


def foreign_owner(status: os.stat_result) -> str:
    """The name of a file's owner where that is neither this user nor root, else an empty string."""
    return "" if status.st_uid in (0, os.geteuid()) else user_name(status.st_uid)


def writers(status: os.stat_result) -> str:
    """Who besides this user and root may change a file or directory, as in "group adm"; empty if no one else may."""
    if owner := foreign_owner(status):
        return f"user {owner}"
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if status.st_mode & stat.S_IWGRP and not _private(status.st_gid):
        return f"group {_group_name(status.st_gid)}"
    return ""


def exposed(places: Iterable[Path]) -> dict[str, list[Path]]:
    """{who, as writers() names them: what they may change} of these files and folders and all that is in them."""
    found: dict[str, list[Path]] = {}
    for path in (path for place in places for path in _tree(place)):
        try:
            who = writers(path.stat())
        except OSError:
            continue  # a link to nothing, or a file that has just gone
        if who:
            found.setdefault(who, []).append(path)
    return found


def _tree(place: Path) -> Iterator[Path]:
    yield place
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (Path(folder, name) for name in (*folders, *sorted(files)))


@functools.cache
def user_name(uid: int) -> str:
    """The user's name, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


@functools.cache
def _private(gid: int) -> bool:
    """Whether a group has no other members: root's, or the one that many distributions make for each user."""
    try:
        group, me = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    own = gid == 0 or (gid == me.pw_gid and group.gr_name == me.pw_name)
    return own and set(group.gr_mem) <= {me.pw_name, "root"}
