"""A cluster whose nodes have different container engines: containerd on the first, Docker Engine on the second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from kubeinstall.components import fetch, machine_architecture
from kubeinstall.errors import ComponentError
from tests.clusters import Cluster, lab_of
from tests.engines.state import offer, want
from tests.ha.traffic import rows, table

SHOWN: dict[str, str] = {}


@pytest.fixture(scope="session")
def shown() -> dict[str, str]:
    """What is printed at the end of the session, by its title."""
    return SHOWN


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One control plane and two nodes, fresh."""
    try:
        fetch(["cri-dockerd"], versions={}, architecture=machine_architecture())
    except ComponentError as error:
        pytest.skip(f"needs cri-dockerd: {error}")
    keep = request.config.getoption("--keep-lab")
    with lab_of("test-engines", "--control-planes", "1", "--nodes", "2", keep=keep) as cluster:
        for name, engine in zip(cluster.nodes, ("containerd", "docker"), strict=True):
            offer(cluster, name)
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
