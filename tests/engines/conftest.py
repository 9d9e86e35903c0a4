"""A cluster whose nodes have different container engines: containerd on the first, Docker Engine on the second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.clusters import Cluster, lab_of
from tests.engines.state import want, why_no_docker
from tests.ha.traffic import rows, table

SHOWN: dict[str, str] = {}


@pytest.fixture(scope="session")
def shown() -> dict[str, str]:
    """What is printed at the end of the session, by its title."""
    return SHOWN


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One control plane and two nodes, fresh."""
    keep = request.config.getoption("--keep-lab")
    with lab_of("test-engines", "--control-planes", "1", "--nodes", "2", keep=keep) as cluster:
        if why := why_no_docker(cluster):
            pytest.skip(why)
        for name, engine in zip(cluster.nodes, ("containerd", "docker"), strict=True):
            want(cluster, name, engine)
        yield cluster


@pytest.fixture(scope="session")
def cluster(lab: Cluster) -> Cluster:
    lab.apply()
    return lab


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    console = Console(width=160, markup=False, highlight=False)
    for what, text in SHOWN.items():
        console.print(f"\n{what}\n{text}")
    if rows:
        console.print(table())
