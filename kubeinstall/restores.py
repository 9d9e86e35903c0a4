"""What a restore of etcd decides on the control node: its revision, the cluster's id, how to complete it.

`restoring` in formed.json, from before the first member's data is replaced until the restore has ended: backup (token
and kept, which the steps on the hosts share), cluster_id, members, at, and `back` once the restore is being undone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from kubeinstall.errors import KubeinstallError

__all__ = ["MARGIN", "cluster_id", "goes_forward", "target_revision"]

# No etcd writes faster: the revision of a cluster that was never restored stays below.
REVISIONS_PER_SECOND = 10_000
# Above a revision that is known: what is written until the members stop, and what a member that lags has not seen.
MARGIN = 10**9
# Above nothing that is known: versions before 0.2 went up by less than 2 * 10**13 with each restore.
UNKNOWN_MARGIN = 10**15
# Clients read revisions as signed 64-bit numbers.
LIMIT = 2**62
# No clock of a host counts beyond this (the year 2106).
LATEST = 2**32


def target_revision(revisions: Iterable[int], clocks: Iterable[float], recorded: int) -> int:
    """A revision above every one that clients of the cluster can have seen.

    `revisions`: of each member's data, 0 where it cannot be read. `clocks`: seconds since the epoch, of the control
    node and the hosts; one that is behind does no harm. `recorded`: the target of the last restore, 0 without one.
    Raises KubeinstallError if there is none left.
    """
    known = max(revisions, default=0)
    target = max(
        known + MARGIN if known else UNKNOWN_MARGIN,
        # What was written since that restore is not known without a member's data.
        recorded + (MARGIN if known else UNKNOWN_MARGIN) if recorded else 0,
        int(min(max(clocks, default=0), LATEST)) * REVISIONS_PER_SECOND,
    )
    if target > LIMIT:
        raise KubeinstallError(
            f"etcd's data is at revision {max(known, recorded)}, and no higher one is left for a restore",
            remedy="check the members' data: it is damaged or forged",
        )
    return target


def cluster_id(token: str, addresses: Iterable[str]) -> str:
    """The id (hexadecimal) that etcd gives a cluster of members with these addresses and this token.

    As server/etcdserver/api/membership of etcd computes it: hashes of each member's peer URL with the token.
    """
    members = sorted(_hash(f"https://{address}:2380{token}".encode()) for address in addresses)
    return f"{int.from_bytes(_hash(b''.join(members)), 'big'):x}"


def _hash(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()[:8]


def goes_forward(data: Mapping[str, str], *, back: bool) -> bool:
    """Whether an interrupted restore is completed with the restored data, rather than with the data before it.

    `data`: what each member has in place, by hostside/etcd_restore.py: restored, staged, half or before. The side that
    can have had a quorum, and so new writes, wins; with neither, nothing was written, and the data before is kept.
    """
    restored = sum(found == "restored" for found in data.values())
    return not back and 2 * restored > len(data)
