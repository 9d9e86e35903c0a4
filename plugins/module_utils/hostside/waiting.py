"""Waits on a host that end with the run that asked for them.

ssh does not end a remote process whose client is gone. Three things tell that a run has ended: nothing reads this
process's standard output; nothing reads that of the sudo above it, which with `use_pty` keeps a pipe of its own; the
run's hold on the cluster (hostside/hold.py) is gone from this host.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Iterator, Optional

ENDED = "the run has ended, or has lost its hold on this host: nothing more is done"
HOLD = "@kubeinstall-run"
_OUTPUT = 1

_hold: Optional[str] = None


def pause(seconds: float) -> None:
    """Sleep. Raises SystemExit instead, at once or afterwards, when the run has ended.

    For loops whose state between two rounds is one that the next run converges from. No HostError: those are caught.
    """
    if _unread_here(_OUTPUT, seconds) or ended():
        raise SystemExit(ENDED)


def ended() -> bool:
    if _unread_here(_OUTPUT, 0) or any(map(_unread, _sudos())):
        return True
    return _hold is not None and held() != _hold


def follow_hold() -> None:
    """This process belongs to the run that holds the cluster now: it ends with that hold."""
    global _hold  # one process serves one run
    _hold = held()


def held() -> Optional[str]:
    """The inode of the hold's socket on this host, None where no run holds the cluster."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as handle:
            sockets = [line.split() for line in handle]
    except OSError:
        return None
    # A connection of a second run that asks who holds the cluster has the same name, and is no listener.
    return next((words[6] for words in sockets if words[7:] == [HOLD] and words[3] == "00010000"), None)


def _sudos() -> Iterator[int]:
    """The sudo processes above this one."""
    pid = os.getppid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
                # The name in parentheses may hold anything: the fields after it begin behind the last one.
                name, _, rest = handle.read().partition("(")[2].rpartition(")")
        except OSError:
            return
        if name == "sudo":
            yield pid
        pid = int(rest.split()[1])


def _unread(pid: int) -> bool:
    """Whether a process's standard output is a pipe that nothing reads."""
    path = f"/proc/{pid}/fd/{_OUTPUT}"
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False  # it has just ended, which our own output tells, or is another user's
    try:
        return _unread_here(descriptor, 0)
    finally:
        os.close(descriptor)


def _unread_here(descriptor: int, seconds: float) -> bool:
    poller = select.poll()
    # POLLERR and POLLHUP come unasked.
    poller.register(descriptor, 0)
    return bool(poller.poll(seconds * 1000))
