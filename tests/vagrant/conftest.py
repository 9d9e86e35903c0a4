"""A cluster of virtual machines of its own, for the tests of this folder. They run in the order of their files.

The files tell a story: the cluster that `vagrant up` makes, ways to its hosts, hosts that are refused, a reboot, and
more that is refused once the cluster is gone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from tests.vagrant.machines import Machines, Seen, machines_of_vagrant

SEEN = Seen()


def pytest_configure() -> None:
    # Ended from outside as by Ctrl-C: machines are taken away all the same.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session")
def seen() -> Seen:
    return SEEN


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Machines]:
    """One control plane and one node."""
    keep = request.config.getoption("--keep-lab")
    with pytest.MonkeyPatch.context() as patch, machines_of_vagrant(SEEN, patch, keep=keep) as machines:
        yield machines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    console = Console(width=160, markup=False, highlight=False)
    for what, text in SEEN.printed.items():
        console.print(f"\n{what}\n{text}")
    if SEEN.seconds:
        table = Table("part", "seconds", box=box.SIMPLE)
        for what, seconds in SEEN.seconds.items():
            table.add_row(what, f"{seconds:.0f}")
        console.print(table)
