"""What runs on a host while something is done to the cluster, and what it saw meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from testinfra.host import Host

from tests.lab import Lab, eventually

__all__ = ["background", "calls", "failed"]


@contextmanager
def calls(lab: Lab, host: Host, read: str, more_than: int = 0) -> Iterator[list[str]]:
    """Runs `read` ten times a second meanwhile, slower on a busy machine; goes on until it ran more often than this.

    Afterwards when each began (seconds since 1970), and `read` or what went wrong.
    """
    found: list[str] = []
    once = f"if {read} >/dev/null; then echo read; else echo failed with $?; fi"
    loop = f"while :; do echo $(date +%s.%N) $({once}); sleep 0.1; done"
    with background(lab, host, "caller", f"sh -c '{loop}'") as printed:
        yield found
        eventually(lambda: len(printed().splitlines()) > more_than, 60, f"more than {more_than} calls")
        found += printed().splitlines()


def failed(found: list[str]) -> list[str]:
    return [line for line in found if not line.endswith(" read")]


@contextmanager
def background(lab: Lab, host: Host, unit: str, command: str) -> Iterator[Callable[[], str]]:
    """A command that runs on the host meanwhile; what is given tells all that it has printed."""
    output = f"/run/{unit}.log"
    lab.sh(host, f"rm -f {output}; systemd-run --unit={unit} --property=StandardOutput=append:{output} {command}")
    try:
        yield lambda: lab.sh(host, f"cat {output}")
    finally:
        lab.sh(host, f"systemctl stop {unit}; systemctl reset-failed {unit} 2>/dev/null || true")
