"""A control plane and a node of each container engine, a cluster on them, and real registries and a proxy beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, lab_of
from tests.engines.state import want, why_no_docker
from tests.registries.servers import Servers, program

ENGINES = ("containerd", "docker")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    size = ("--control-planes", "1", "--nodes", "2")
    with lab_of("test-registries", *size, keep=request.config.getoption("--keep-lab")) as cluster:
        try:
            engines = ENGINES[:1] * 2 if why_no_docker(cluster) else ENGINES
            for name, engine in zip(cluster.nodes, engines, strict=True):
                want(cluster, name, engine)
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
    """A node of each container engine."""
    found = [name for name in cluster.nodes if cluster.lab.variables(name)["container_engine"] == request.param]
    if not found:
        pytest.skip(why_no_docker(cluster))
    return found[0]
