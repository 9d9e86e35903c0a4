"""A snapshot of etcd taken on the host of a member, proven, and laid out for the login user to fetch.

spec: root, operation and
    probe    nothing more; {problem: why this member does not answer for the cluster, or "", cluster_id (hexadecimal)}
    save     directory: the login user's own, where the snapshot is put under its digest
             {path, sha256, size, cluster_id, etcd_version, revision, keys, authorities}
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict, List, NamedTuple

from . import etcd, files
from .answers import Answer
from .errors import HostError
from .etcd_proof import OVERHEAD, prove, workplace
from .host import Host

SECONDS = 600


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


ANSWERS = {"probe": Answer(Probed, reads=True), "save": Answer(Saved, reads=True)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    return probe(host) if spec["operation"] == "probe" else save(host, spec["directory"])


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
        found = prove(host, snapshot)
        digest, size = str(files.digest_of(snapshot)), os.path.getsize(snapshot)
        path = f"{directory}/{digest}"
        owner = os.stat(directory)
        os.chmod(snapshot, 0o600)
        os.chown(snapshot, owner.st_uid, owner.st_gid)
        shutil.move(snapshot, path)
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    facts = {key: member[key] for key in ("cluster_id", "etcd_version")}
    return {"path": path, "sha256": digest, "size": size, **facts, **found}
