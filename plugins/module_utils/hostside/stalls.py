"""Notices that an operation is blocked by a device that does not answer, and ends it.

A process that waits for a disk or a network file system can't be interrupted, and nothing in it goes on. So the
operation runs in a child process, and this one, which touches no file but /proc, watches it and all that it starts.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Callable, Dict, List, Optional, Tuple

from .processes import descendants, fields, read

LOOK_SECONDS = 5.0
# One single wait of so long. What is slow, and moves on, waits many times.
STALLED_SECONDS = 25.0
OUTPUT = 1
# Of all threads that wait without interruption: {(process, thread, its number of waits): since when}.
Waits = Dict[Tuple[int, int, str], float]


def supervise(tell: Callable[[str], str]) -> None:
    """Returns in a child process, and in this one never: it passes on what the child prints, and its exit code.

    `tell` makes of a sentence what is printed in place of the child's answer.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # waiting.py learns from its output that nobody reads any more: this process ends when that is so.
        for number in (OUTPUT, 2):
            os.dup2(writing, number)
        os.close(reading)
        os.close(writing)
        return
    os.close(writing)
    code = 1
    try:
        code = _watch(child, reading, tell)
    finally:
        os._exit(code)


def _watch(child: int, reading: int, tell: Callable[[str], str]) -> int:
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    # POLLERR and POLLHUP come unasked.
    poller.register(OUTPUT, 0)
    waits: Waits = {}
    next_look = time.monotonic() + LOOK_SECONDS
    while True:
        ready = [number for number, _ in poller.poll(max(0.0, next_look - time.monotonic()) * 1000)]
        if OUTPUT in ready:
            return 1
        if reading in ready:
            data = os.read(reading, 1 << 16)
            if not data:
                status = os.waitpid(child, 0)[1]
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            _write(data)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOOK_SECONDS
            waits = {key: waits.get(key, time.monotonic()) for key in _waiting(child)}
            if stalled := _stalled(waits):
                os.kill(child, signal.SIGKILL)
                _write(tell(stalled).encode())
                return 0


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(OUTPUT, data) :]


def _stalled(waits: Waits) -> Optional[str]:
    for (pid, thread, _), since in waits.items():
        seconds = time.monotonic() - since
        if seconds >= STALLED_SECONDS:
            name, where = read(f"/proc/{pid}/comm").strip(), read(f"/proc/{pid}/task/{thread}/wchan")
            told = f"{name} (process {pid}) has been blocked in the kernel for {seconds:.0f} s"
            return f"{told} ({where})" if where not in ("", "0") else told
    return None


def _waiting(child: int) -> List[Tuple[int, int, str]]:
    """The threads of the child and its descendants that are in an uninterruptible wait."""
    found = []
    for pid in (child, *descendants([child])):
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            path = f"/proc/{pid}/task/{thread}"
            if fields(path)[:1] == ["D"]:
                found.append((pid, int(thread), read(f"{path}/status").partition("voluntary_ctxt_switches:")[2]))
    return found
