"""A run's hold on a cluster, as one of its hosts keeps it: a name that one process at a time can have.

    python3 -I -S -c SOURCE '{"name": …, "run": {who, process, since}, "patience": seconds}'

The name is an abstract socket: the kernel gives it to one process, and takes it back when that one ends, however that
comes about. Whoever asks for a name that is taken is told whose it is. This process ends with its standard input, or
when nothing was heard on it for `patience` seconds: that is how a run that died, or whose machine did, is recognised.
No root is needed and nothing is written.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

ANSWER = 2000


def main(argument: str) -> int:
    spec = json.loads(argument)
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind("\0" + spec["name"])
        except OSError:
            _say({"held": _holder(spec["name"])})
            return 1
        server.listen(16)
        _say({"holding": True})
        _serve(server, json.dumps(spec["run"]).encode(), spec["patience"])
    return 0


def _serve(server: socket.socket, answer: bytes, patience: float) -> None:
    """Echo what comes on standard input, and tell who asks who we are, until the input is silent or ends."""
    heard = time.monotonic()
    while True:
        left = heard + patience - time.monotonic()
        ready, _, _ = select.select([0, server], [], [], max(0.0, left))
        if 0 in ready:
            beat = os.read(0, 64)
            if not beat:
                return
            os.write(1, beat)
            heard = time.monotonic()
        elif left <= 0:
            return
        if server in ready:
            with server.accept()[0] as asking:
                asking.sendall(answer)


def _holder(name: str) -> dict[str, Any] | None:
    """What the process that has the name says of its run; None when it has just gone."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        try:
            asking.connect("\0" + name)
            pid, user, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            with asking.makefile("rb") as stream:
                said = json.loads(stream.read(ANSWER))
        except ConnectionError:
            return None
        except (OSError, ValueError):
            said = {}
    # Any process of the host could have taken the name: the kernel's word on who it is goes along.
    return {**(said if isinstance(said, dict) else {}), "there": f"process {pid} of user {user}"}


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
