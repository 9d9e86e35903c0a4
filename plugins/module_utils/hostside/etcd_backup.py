"""A snapshot of etcd taken on the host of a member, proven, and laid out for the login user to fetch.

spec: root, operation and
    probe    nothing more; {problem: why this member does not answer for the cluster, or "", cluster_id (hexadecimal)}
    save     directory: the login user's own, where the snapshot is put under its digest
             {path, sha256, size, cluster_id, etcd_version, revision, keys, authorities}
    data     directory: the same from this member's data alone, without a quorum. A member that runs and does not answer
             is stopped meanwhile; cluster_id and etcd_version are "" then.
    stored   directory, backups, member: the newest backup of this member in the folder `backups`; also {time}
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any, Dict, List, NamedTuple

from . import etcd, files, stored_backups, units
from .answers import Answer
from .errors import HostError
from .etcd_proof import OVERHEAD, prove, workplace
from .host import Host

SECONDS = 600
UNIT = "etcd.service"
DATABASE = "/var/lib/etcd/default.etcd/member/snap/db"


class Probed(NamedTuple):
    problem: str
    cluster_id: str


class Saved(NamedTuple):
    path: str
    sha256: str
    size: int
    cluster_id: str
    etcd_version: str
    revision: int
    keys: int
    authorities: List[str]
    time: str = ""


ANSWERS = {
    "probe": Answer(Probed, reads=True),
    "save": Answer(Saved, reads=True, seconds=4 * SECONDS),
    "data": Answer(Saved, seconds=4 * SECONDS),
    "stored": Answer(Saved, reads=True, seconds=4 * SECONDS),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    if spec["operation"] == "probe":
        return probe(host)
    if spec["operation"] == "data":
        return save_data(host, spec["directory"])
    if spec["operation"] == "stored":
        return fetch_stored(host, spec["directory"], spec["backups"], spec["member"])
    return save(host, spec["directory"])


def probe(host: Host) -> Dict[str, Any]:
    try:
        # Reads through the quorum: a member that lost the others would give a snapshot that lacks what they wrote.
        answer = etcd.etcdctl(host, "get", "health", "--keys-only")
    except HostError as error:
        return {"problem": str(error), "cluster_id": ""}
    return {"problem": "", "cluster_id": f"{answer['header']['cluster_id']:x}"}


def status(host: Host) -> Dict[str, Any]:
    """What this member says of itself: {cluster_id, etcd_version, size in bytes}."""
    found = etcd.status(host)
    return {
        "cluster_id": f"{found['header']['cluster_id']:x}",
        "etcd_version": found["version"],
        "size": int(found["dbSize"]),
    }


def save(host: Host, directory: str) -> Dict[str, Any]:
    member = status(host)
    # The snapshot, its trial, and the copy that is fetched.
    with workplace(host, 3 * member["size"] + OVERHEAD) as work:
        snapshot = f"{work}/snapshot.db"
        etcd.told(host, "snapshot", "save", snapshot, timeout=SECONDS, command_timeout=SECONDS)
        found = _lay_out(host, snapshot, directory)
    return {**found, "cluster_id": member["cluster_id"], "etcd_version": member["etcd_version"]}


def _lay_out(host: Host, snapshot: str, directory: str) -> Dict[str, Any]:
    """Prove the snapshot, and move it to where the login user can fetch it."""
    found = prove(host, snapshot)
    digest, size = str(files.digest_of(snapshot)), os.path.getsize(snapshot)
    path = f"{directory}/{digest}"
    owner = os.stat(directory)
    os.chmod(snapshot, 0o600)
    os.chown(snapshot, owner.st_uid, owner.st_gid)
    shutil.move(snapshot, path)
    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    return {"path": path, "sha256": digest, "size": size, "cluster_id": "", "etcd_version": "", **found}


def save_data(host: Host, directory: str) -> Dict[str, Any]:
    """A member that answers gives a snapshot also without a quorum. Any other is stopped while its data is copied."""
    try:
        status(host)
    except HostError:
        return _copy_data(host, directory)
    return save(host, directory)


def _copy_data(host: Host, directory: str) -> Dict[str, Any]:
    database = host.path(DATABASE)
    if not os.path.exists(database):
        raise HostError(f"{DATABASE} does not exist: this host has no data of etcd. Nothing was changed")
    runs = units.living(units.show(host, UNIT))
    if runs:
        host.run(["systemctl", "stop", UNIT], timeout=180)
    try:
        with workplace(host, 3 * os.path.getsize(database) + OVERHEAD) as work:
            snapshot = str(shutil.copy(database, f"{work}/snapshot.db"))
            # What `etcdctl snapshot save` appends, and a restore compares.
            digest = bytes.fromhex(str(files.digest_of(snapshot)))
            with open(snapshot, "ab") as file:
                file.write(digest)
            return _lay_out(host, snapshot, directory)
    finally:
        if runs:
            units.start(host, UNIT, restart=False)


def fetch_stored(host: Host, directory: str, backups: str, member: str) -> Dict[str, Any]:
    names = stored_backups.names(host, backups, member)
    if not names:
        raise HostError(f"{backups} on this host holds no backup of {member}")
    source = host.path(f"{backups}/{names[-1]}")
    with workplace(host, 3 * os.path.getsize(source) + OVERHEAD) as work:
        snapshot = str(shutil.copy(source, f"{work}/snapshot.db"))
        facts = json.loads(files.read(f"{source}.json") or "{}")
        if facts and facts.get("sha256") != files.digest_of(snapshot):
            raise HostError(f"{backups}/{names[-1]} is not what was backed up: its digest differs from its .json")
        match = stored_backups.NAME.fullmatch(names[-1])
        return {**_lay_out(host, snapshot, directory), "time": match["time"] if match else ""}
