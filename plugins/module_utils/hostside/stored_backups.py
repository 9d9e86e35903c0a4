"""The backups of etcd that a host keeps on its own disk, as the etcd-backup timer names them: MEMBER-TIME.db."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, NamedTuple

from .host import Host

NAME = re.compile(r"(?P<member>.+)-(?P<time>\d{8}T\d{6}Z)\.db")


class Summary(NamedTuple):
    count: int
    newest: str


def names(host: Host, directory: str, member: str = "") -> List[str]:
    """The file names of all backups there, or of one member's, oldest first."""
    full = host.path(directory)
    found = [match for name in os.listdir(full) if (match := NAME.fullmatch(name))] if os.path.isdir(full) else []
    wanted = [match for match in found if member in ("", match["member"])]
    return [match[0] for match in sorted(wanted, key=lambda match: match["time"])]


def summary(host: Host, directory: str) -> Dict[str, Any]:
    """{count, newest: its time or ""}; no directory: no backups."""
    found = names(host, directory) if directory else []
    match = NAME.fullmatch(found[-1]) if found else None
    return {"count": len(found), "newest": match["time"] if match else ""}


def give_to_root(host: Host, directory: str, user: str) -> None:
    """Before this user is removed: the next user with its id must not own the backups.

    What is on another file system can be shared with other members, and stays as it is.
    """
    full, uid = host.path(directory), host.uid(user)
    if not os.path.isdir(full) or os.stat(full).st_dev != os.stat(host.path("/")).st_dev:
        return
    for path in [full, *(os.path.join(full, name) for name in os.listdir(full))]:
        if os.lstat(path).st_uid == uid:
            os.chown(path, 0, 0, follow_symlinks=False)
