"""A lab of its own, and a cluster on it, for the tests of this folder. They run in the order of their files.

The files tell a story: a fresh lab, the install, the living cluster, faults, the reset. Each test leaves the cluster
whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import ROOT, Cluster, lab_of
from tests.lab import SNAPSHOT

NAME = "test"
INVENTORY = ROOT / "inventory" / NAME


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One control plane and two nodes, fresh."""
    with lab_of(NAME, keep=request.config.getoption("--keep-lab")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def untouched(lab: Cluster) -> dict[str, str]:
    """What each host looks like before anything was done to it."""
    return {name: lab.sh(name, SNAPSHOT) for name in lab.addresses}


@pytest.fixture(scope="session")
def cluster(lab: Cluster, untouched: dict[str, str]) -> Cluster:
    """The lab with a cluster on it, installed by the command."""
    lab.apply()
    return lab
