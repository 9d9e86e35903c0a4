"""Ends a call to a host that takes too long, or whose output would fill this machine's memory.

Neither Ansible nor ssh bounds a call: the keepalives of ansible.cfg end a connection whose other end is silent, and a
host that answers them may still keep a call from its end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import LARGEST

POLL_SECONDS = 0.5
# Ansible keeps what a host prints in several copies.
MEMORY = 4 * LARGEST
DEVICE = "A disk or a network file system that does not answer may be the cause: check `dmesg` on the host"
TRUST = "Check which program runs there as Python, and whether the host can still be trusted"


class Limit:
    """What is left of a call's time. `exceeded` is why it was ended, empty where it was not."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.exceeded = ""
        self.reset()

    def reset(self) -> None:
        """The time begins again: for a transfer that has moved on."""
        self._deadline = time.monotonic() + self.seconds

    def check(self, memory: int) -> str:
        """Why the call is to end now; `memory` are the bytes that it has taken so far."""
        if time.monotonic() > self._deadline:
            self.exceeded = f"no answer within {self.seconds:.0f} s. {DEVICE}"
        elif memory > MEMORY:
            self.exceeded = f"it printed more than {LARGEST >> 20} MiB. {TRUST}"
        return self.exceeded


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[Limit]:
    """While it lasts, processes that this one starts get `seconds`, and are killed then: ssh, and sshpass around it."""
    limit, done = Limit(seconds), threading.Event()
    begun, memory = time.clock_gettime(time.CLOCK_BOOTTIME), _resident()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            if limit.check(_resident() - memory):
                for pid in _children(begun):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield limit
    finally:
        done.set()
        thread.join()


def _resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _children(begun: float) -> Iterator[int]:
    """The children of this process that were started after that time (CLOCK_BOOTTIME), and theirs."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {os.getpid()}
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything: the fields after it begin behind the last one.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                processes.append((int(fields[19]) / tick, int(entry.name), int(fields[1])))
    # Parents first. The start is in whole ticks.
    for started, pid, parent in sorted(processes):
        if parent in found and started >= begun - 1 / tick:
            found.add(pid)
            yield pid
