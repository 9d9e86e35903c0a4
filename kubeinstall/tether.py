"""Runs one command that never outlives the process that asked for it.

    python -I -S tether.py PARENT_PID PID_FILE COMMAND [ARGUMENT…]

Its own process id is written to PID_FILE: a SIGTERM there ends the run. When the parent dies, by whatever signal, or
this process is told to end, the command is interrupted; what it started and has not ended some seconds later is killed,
workers and ssh processes included. The exit code is the command's own, or 128 and the signal's number. Only the
standard library: it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

GRACE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    parent, pid_file, command = int(arguments[0]), Path(arguments[1]), arguments[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    # Whatever loses its parent in the tree below comes to us, so the tree can be found whole.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    watched = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    child = os.posix_spawnp(command[0], command, os.environ, setsigmask=[], setsigdef=[signal.SIGINT, signal.SIGTERM])
    pid_file.write_text(str(os.getpid()))
    if os.getppid() != parent:
        return _end(child, signal.SIGTERM)
    while True:
        received = signal.sigwait(watched)
        if received != signal.SIGCHLD:
            return _end(child, received)
        code = _reap(child)
        if code is not None:
            return code


def _reap(child: int) -> int | None:
    """Collects every ended process; returns the command's exit code once that one is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            result = os.waitstatus_to_exitcode(status)
            code = result if result >= 0 else 128 - result


def _end(child: int, received: int) -> int:
    """Interrupts the command, and after the grace kills what is left of its tree."""
    _send(child, signal.SIGINT)
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until and _reap(child) is None:
        signal.sigtimedwait({signal.SIGCHLD}, max(0.0, until - time.monotonic()))
    # A process may fork while the list is read: read it until nothing is left.
    until = time.monotonic() + GRACE_SECONDS
    while (left := _descendants(os.getpid())) and time.monotonic() < until:
        for pid in left:
            _send(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        _reap(child)
    return 128 + received


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything: the fields after it begin behind the last one.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
