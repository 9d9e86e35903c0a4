"""A control plane and a node, real registries and a proxy beside the control plane, and a cluster that uses them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, lab_of
from tests.registries.servers import Servers, program

ENGINES = ("containerd",)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    size = ("--control-planes", "1", "--nodes", "1")
    with lab_of("test-registries", *size, keep=request.config.getoption("--keep-lab")) as cluster:
        try:
            yield cluster
        finally:
            # `lab down` leaves what the lab did not write.
            shutil.rmtree(cluster.inventory / "host_vars", ignore_errors=True)


@pytest.fixture(scope="session")
def servers(lab: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Servers:
    folder: Path = tmp_path_factory.mktemp("servers")
    servers = Servers(lab, folder, program(folder))
    servers.run()
    return servers


@pytest.fixture(scope="session")
def cluster(lab: Cluster, servers: Servers) -> Cluster:
    """The lab with a cluster on it that knows nothing of the registries, which have their images."""
    lab.apply()
    servers.fill()
    return lab


@pytest.fixture(scope="session", params=ENGINES)
def node(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """A node for each container engine."""
    engines = {name: cluster.lab.variable(name, "container_engine", "containerd") for name in cluster.nodes}
    return next(name for name, engine in engines.items() if engine == request.param)
