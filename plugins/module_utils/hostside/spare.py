"""Whether others do the work of a service while it is restarted; asked before anything is touched."""

from __future__ import annotations

import time
from typing import Any

from . import etcd
from .errors import HostError
from .host import Host
from .ready import unfulfilled
from .waiting import pause

SECONDS = 60
# One look may fall into an election, a slow disk, a restart.
LOOKS = 3
PAUSE = 1


def check_spare(host: Host, spare: dict[str, Any], ready: dict[str, Any], seconds: float = SECONDS) -> None:
    """HostError if the cluster would stand still without this service for a moment.

    `spare` is {etcd_member: its name} or {peers: [URL], ca: path}, of which at least one has to answer with 200; those
    that join by the same run are given `seconds` to start. A service that is not `ready` in any of several looks is no
    loss; a member of etcd is one as long as it answers reads of its own data.
    """
    if "etcd_member" in spare:
        etcd.spare(host, spare["etcd_member"], lambda: serves(host, ready), seconds)
    elif "peers" in spare and serves(host, ready):
        _one_answers(host, spare["peers"], spare.get("ca"), seconds)


def serves(host: Host, ready: dict[str, Any]) -> bool:
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        if unfulfilled(host, ready) is None:
            return True
    return False


def _one_answers(host: Host, urls: list[str], ca: str | None, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        problems = [unfulfilled(host, {"url": url, "ca": ca}) for url in urls]
        if None in problems:
            return
        if time.monotonic() > deadline:
            raise HostError(
                f"nobody would do its work while it is restarted: {'; '.join(map(str, problems))}. Nothing was changed:"
                " bring one of them back first"
            )
        pause(0.3)
