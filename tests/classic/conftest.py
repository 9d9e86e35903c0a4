"""The classic arrangement: flannel's network and leases in etcd, on the control plane and two of its three nodes.

The files tell a story: the install, a member that is lost, backends, applications, backups, the way back. Each test
leaves the cluster whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.classic.state import WISHES, gaps, wish
from tests.clusters import Cluster, lab_of


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One control plane and three nodes, fresh; the last one has no member of etcd."""
    with lab_of("test-classic", "--nodes", "3", keep=request.config.getoption("--keep-lab")) as cluster:
        # Beside what the lab wrote; it takes away nothing but that.
        members = cluster.inventory / "members.yml"
        wishes = cluster.inventory / WISHES
        members.write_text("etcd:\n  hosts:\n" + "".join(f"    {name}:\n" for name in [*cluster.addresses][:3]))
        wish(cluster, flannel_subnet_manager="etcd", etcd_application_users={"shop": {"prefix": "/apps/shop/"}})
        try:
            yield Cluster(cluster.inventory)
        finally:
            if not request.config.getoption("--keep-lab"):
                members.unlink()
                wishes.unlink()


@pytest.fixture(scope="session")
def cluster(lab: Cluster) -> Cluster:
    """The lab with a cluster on it, installed by the command."""
    lab.apply()
    return lab


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for change, seconds in gaps:
        terminalreporter.write_line(f"{change}: the longest gap between pods of two hosts was {seconds:.1f} s")
