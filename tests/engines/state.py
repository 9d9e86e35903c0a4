"""Which container engine a host is to have, and which one its node says that it has."""

from __future__ import annotations

import yaml

from kubeinstall.components import fetch, machine_architecture
from kubeinstall.errors import ComponentError
from tests.clusters import Cluster

__all__ = ["containers", "runtimes", "want", "why_no_docker"]

# What the inventory says of a host besides its engine.
Settings = dict[str, object]


def want(cluster: Cluster, name: str, engine: str, settings: Settings | None = None) -> None:
    """Say in the inventory which container engine a host is to have."""
    folder = cluster.inventory / "host_vars"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(yaml.safe_dump({"container_engine": engine, **(settings or {})}))
    cluster.lab.read_again()


def why_no_docker(cluster: Cluster) -> str:
    """What hosts of this lab lack to have Docker Engine; empty where they lack nothing."""
    try:
        fetch(["cri-dockerd"], versions={}, architecture=machine_architecture())
    except ComponentError as error:
        return f"needs cri-dockerd: {error}"
    for name in cluster.nodes:
        asked = cluster.host(name).run("apt-get -qq update && apt-cache show docker.io >/dev/null")
        if asked.rc != 0:
            return f"needs package sources that lab hosts reach: {asked.stderr.strip() or asked.stdout.strip()}"
    return ""


def runtimes(cluster: Cluster) -> dict[str, str]:
    """{node: its engine and the version of that}, as its kubelet says: {"lab-node1": "containerd://2.3.4"}."""
    nodes = cluster.lab.objects("nodes")
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes}


def containers(cluster: Cluster, name: str) -> list[str]:
    """The names that `docker ps` shows on a host."""
    return cluster.sh(name, "docker ps --format '{{.Names}}'").split()
