"""Which container engine a host is to have, and which one its node says that it has."""

from __future__ import annotations

import pytest
import yaml

from tests.clusters import Cluster

__all__ = ["containers", "offer", "runtimes", "want"]

# What the inventory says of a host besides its engine.
Settings = dict[str, object]


def want(cluster: Cluster, name: str, engine: str, settings: Settings | None = None) -> None:
    """Say in the inventory which container engine a host is to have."""
    folder = cluster.inventory / "host_vars"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(yaml.safe_dump({"container_engine": engine, **(settings or {})}))
    cluster.lab.read_again()


def offer(cluster: Cluster, name: str) -> None:
    """See that the host's package sources have Docker Engine; skips where they can't be reached."""
    host = cluster.host(name)
    asked = host.run("apt-get -qq update && apt-cache show docker.io >/dev/null")
    if asked.rc != 0:
        pytest.skip(f"needs package sources that lab hosts reach: {asked.stderr.strip() or asked.stdout.strip()}")


def runtimes(cluster: Cluster) -> dict[str, str]:
    """{node: its engine and the version of that}, as its kubelet says: {"lab-node1": "containerd://2.3.4"}."""
    nodes = cluster.lab.objects("nodes")
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes}


def containers(cluster: Cluster, name: str) -> list[str]:
    """The names that `docker ps` shows on a host."""
    return cluster.sh(name, "docker ps --format '{{.Names}}'").split()
