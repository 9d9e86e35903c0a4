"""The highest revision that the etcd data on this host has reached, whether or not its member answers."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from typing import Any, Dict, List, NamedTuple

from . import etcd, units
from .errors import HostError
from .etcd_proof import workplace
from .host import Host

SECONDS = 300
DATABASE = "member/snap/db"


class Looked(NamedTuple):
    revision: int
    unreadable: List[str]
    clock: int


def look(host: Host, home: str, unit: str) -> Dict[str, Any]:
    """{revision: 0 where it cannot be known, unreadable: [why], clock: seconds since the epoch}."""
    data, unreadable = f"{home}/default.etcd", []
    revisions = [0]
    try:
        revisions.append(int(etcd.status(host)["header"]["revision"]))
    except HostError:
        try:
            revisions.append(_at_rest(host, data, unit))
        except (HostError, OSError) as error:
            unreadable.append(f"{data}: {error}")
    # What restores have put aside was served before.
    for aside in sorted(glob.glob(host.path(f"{home}/before-restore-*.etcd"))):
        try:
            revisions.append(of_database(host, f"{aside}/{DATABASE}"))
        except HostError as error:
            unreadable.append(str(error))
    return {"revision": max(revisions), "unreadable": unreadable, "clock": int(time.time())}


def _at_rest(host: Host, data: str, unit: str) -> int:
    database = host.path(f"{data}/{DATABASE}")
    if not os.path.exists(database):
        raise HostError("there is no data")
    if units.show(host, unit).get("ActiveState") in ("inactive", "failed"):
        return of_database(host, database)
    # A member that runs has it locked, also while it waits for a quorum and serves nothing.
    with workplace(host, os.path.getsize(database)) as work:
        return of_database(host, str(shutil.copy(database, f"{work}/db")))


def of_database(host: Host, database: str) -> int:
    """The revision of a database that no member uses (a full path); 0 where there is none."""
    if not os.path.exists(database):
        return 0
    command = ["etcdutl", "snapshot", "status", database, "--write-out=json"]
    done = host.run(command, check=False, timeout=SECONDS)
    try:
        return int(json.loads(done.stdout)["revision"])
    except (ValueError, KeyError, TypeError):
        raise HostError(f"{database} cannot be read: {done.stderr.strip()[-200:]}") from None
