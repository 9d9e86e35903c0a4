"""A cluster of three control planes with etcd and two nodes, and the table of what its clients saw of each change.

Each test leaves the cluster whole, and the files' order does not matter, save one: the lab with etcd apart comes first
(test_apart.py), so that there is only one lab at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.clusters import Cluster, lab_of
from tests.ha.traffic import rows, table


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: of the few that every change is held to")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three control planes and two nodes, fresh."""
    size = ("--control-planes", "3", "--nodes", "2")
    with lab_of("test-ha", *size, keep=request.config.getoption("--keep-lab")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster(lab: Cluster) -> Cluster:
    """The lab with a cluster on it, installed by the command."""
    lab.apply()
    return lab


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if rows:
        Console(width=160, markup=False).print(table())
