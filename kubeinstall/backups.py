"""Backups of etcd on the controller: a snapshot, and beside it FILE.json with its digest and what is known of it.

FILE.json: sha256, size (bytes), cluster (its name), cluster_id (etcd's, hexadecimal), member (who gave it), revision,
keys, etcd_version, time (UTC), encryption_key (its digest in formed.json; missing where none was pinned). Only the
digest is needed for a restore.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubeinstall.errors import InputError, KubeinstallError
from kubeinstall.pki import PKI

__all__ = ["Backup", "check_key", "destination", "facts_file", "read"]

DIRECTORY = "backups"


@dataclass(frozen=True)
class Backup:
    """A snapshot that was read whole. `facts` is what FILE.json says, empty where there is none."""

    path: Path
    sha256: str
    size: int
    facts: Mapping[str, Any]


def check_key(backup: Backup, pki: PKI) -> str:
    """A warning where it is unknown whether the PKI directory's encryption key reads the backup, else empty.

    Raises InputError when the backup was made under another key, PKIError when the directory is not the cluster's.
    """
    pki.check()
    digest = backup.facts.get("encryption_key")
    if not digest:
        return "the backup has no digest of its encryption key: its Secrets can be read only if the key is the same"
    if digest != pki.key_digest():
        raise InputError(
            "the backup was made under another encryption key: its Secrets could not be read",
            where=str(backup.path),
            remedy=f"put the encryption.key of that time into {pki.directory}, or take another backup",
        )
    return ""


def facts_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def destination(to: str, state_directory: Path, cluster: str, now: datetime | None = None) -> Path:
    """Where a backup goes: to a file, into a folder, or (`to` is empty) into the cluster's own. KubeinstallError where
    nothing can be written. With a slash at its end it is a folder, which has to exist."""
    now = now or datetime.now(UTC)
    place = Path(to).absolute() if to else state_directory / DIRECTORY
    if not to:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KubeinstallError(f"it cannot be made: {error.strerror}", where=str(place)) from error
    if place.is_dir():
        place = place / f"{cluster}-{now:%Y%m%dT%H%M%SZ}.db"
    elif to.endswith("/"):
        raise InputError("there is no such folder", where=to, remedy=f"make it: mkdir -p {to}")
    if not place.parent.is_dir():
        raise InputError("there is no such folder", where=str(place.parent), remedy="make it, or name another file")
    return place


def read(path: Path) -> Backup:
    """Raises InputError where a snapshot is missing, or is not the one that its FILE.json tells of."""
    try:
        with path.open("rb") as handle:
            digest, size = hashlib.file_digest(handle, "sha256").hexdigest(), path.stat().st_size
    except OSError as error:
        raise InputError(f"the backup cannot be read: {error.strerror}", where=str(path)) from error
    facts: Any = {}
    beside = facts_file(path)
    if beside.exists():
        try:
            facts = json.loads(beside.read_text(encoding="utf-8"))
            wanted = facts["sha256"]
        except (OSError, ValueError, TypeError, KeyError):
            what = "it should hold the digest of the backup, and does not"
            raise InputError(what, where=str(beside), remedy="put it back, or take it away to do without") from None
        if digest != wanted:
            raise InputError(
                f"this is not the file that was backed up: its digest is {digest}, {beside.name} says {wanted}",
                where=str(path),
                remedy="it was truncated or altered since: take another backup",
            )
    return Backup(path, digest, size, facts)
