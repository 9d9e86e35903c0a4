"""Docker Engine beside containerd: pods that reach each other, images, changes of a node's engine, and the end of it.

The tests run in their order: each takes the cluster as the one before has left it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubeinstall.components import Catalogue, Store, machine_architecture
from kubeinstall.images import scratch_archive
from tests.clusters import Cluster
from tests.engines.state import containers, runtimes, want
from tests.ha.state import cordoned, whole
from tests.ha.traffic import traffic
from tests.lab import eventually


def test_without_cri_dockerd_nothing_is_touched(lab: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that has all but that, and no way to upstream."""
    docker = lab.nodes[1]
    cache = tmp_path / "kubeinstall" / "components"
    cache.mkdir(parents=True)
    for component in Store().root.iterdir():
        if component.name != "cri-dockerd":
            (cache / component.name).symlink_to(component)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    said = " ".join(lab.apply(code=1).split())
    assert "no source has cri-dockerd" in said
    assert "cri-dockerd 0.3.26 is not to be had as a Go module" in said
    assert not lab.host(docker).file("/var/lib/kubeinstall").exists


def test_pods_of_either_engine_reach_each_other(cluster: Cluster, shown: dict[str, str]) -> None:
    containerd, docker = cluster.nodes
    found = runtimes(cluster)
    assert found[containerd].startswith("containerd://")
    assert found[docker].startswith("docker://")
    shown["kubectl get nodes -o wide"] = cluster.kubectl("get", "nodes", "-o", "wide")
    # A pod on every node, each of which asks each other one, the cluster's DNS and a Service.
    shown["kubeinstall verify"] = cluster.command("verify", "-i", cluster.inventory)
    assert re.search(r"pods +all 3 ok", shown["kubeinstall verify"])


def test_docker_ps_shows_the_pods(cluster: Cluster, shown: dict[str, str]) -> None:
    docker = cluster.nodes[1]
    with traffic(cluster, "nothing, while a pod is looked at"):
        (pod,) = [
            pod["metadata"]["name"]
            for pod in cluster.lab.objects("pods -n traffic")
            if pod["spec"]["nodeName"] == docker
        ]
        shown[f"docker ps on {docker}"] = cluster.sh(docker, "docker ps")
        assert f"k8s_traffic_{pod}_traffic" in "\n".join(containers(cluster, docker))
        assert "coredns" in cluster.kubectl("logs", "-n", "traffic", pod).lower()
        assert "1.14" in cluster.kubectl("exec", "-n", "traffic", pod, "--", "/coredns", "-version")


def test_status_knows_the_engines(cluster: Cluster) -> None:
    said = cluster.command("status", "-i", cluster.inventory)
    assert "cri-dockerd 0.3" in said
    assert "container-engine" in said


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    whole(cluster)
    cluster.changes_nothing("site", "--check", "--diff")


def test_images_are_loaded_into_either_engine(cluster: Cluster, tmp_path: Path) -> None:
    file = Store().locate("pause", Catalogue.load().default("pause"), machine_architecture())
    assert file
    reference = "example.org/team/hold:1"
    archive = scratch_archive(
        reference, {"/hold": file.path}, entrypoint=["/hold"], architecture=machine_architecture(), cache=tmp_path
    )
    cluster.command("image", "load", "-i", cluster.inventory, archive)
    for name in cluster.nodes:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"hold-{name}"},
            "spec": {
                "nodeName": name,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "hold", "image": reference, "imagePullPolicy": "Never"}],
            },
        }
        cluster.lab.kubectl("apply -f -", pod)
    for name in cluster.nodes:
        cluster.lab.kubectl(f"wait pod/hold-{name} --for=condition=Ready --timeout=60s")
    again = cluster.command("image", "load", "-i", cluster.inventory, archive)
    assert "load example.org" not in again
    cluster.lab.kubectl("delete pods --all")


def test_a_restart_of_docker_leaves_pods_alone(cluster: Cluster) -> None:
    docker = cluster.nodes[1]
    before = cluster.sh(docker, "docker ps --quiet --filter name=^/k8s_ | sort")
    assert before
    want(cluster, docker, "docker", {"container_engine_docker_configuration": {"log-opts": {"max-size": "5m"}}})
    foreseen = cluster.apply("--check", "--diff")
    assert re.search(r"restart docker.service", foreseen), foreseen
    with traffic(cluster, "Docker's settings") as seen:
        cluster.apply()
    assert cluster.sh(docker, "docker ps --quiet --filter name=^/k8s_ | sort") == before
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_a_node_whose_engine_becomes_docker_is_drained_first(cluster: Cluster) -> None:
    containerd = cluster.nodes[0]
    want(cluster, containerd, "docker")
    foreseen = cluster.apply("--check", "--diff")
    for what in (
        f"cordon {containerd}",
        "/etc/containerd/config.toml",
        "start docker.service",
        "restart kubelet.service",
    ):
        assert what in foreseen, foreseen
    assert runtimes(cluster)[containerd].startswith("containerd://")
    with traffic(cluster, "a node's engine: containerd becomes docker") as seen:
        cluster.apply()
    assert runtimes(cluster)[containerd].startswith("docker://")
    assert cordoned(cluster) == set()
    host = cluster.host(containerd)
    assert not host.file("/usr/local/bin/containerd").exists
    assert not host.file("/etc/containerd/config.toml").exists
    assert not host.file("/var/lib/kubeinstall/container-engine.json").exists
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_a_change_of_the_engine_that_fails_is_gone_on_with(cluster: Cluster) -> None:
    """A setting that containerd refuses stops the run when the former engine is gone; the next one completes it."""
    changing = cluster.nodes[1]
    want(cluster, changing, "containerd", {"container_engine_extra_arguments": {"log-level": "no-such-level"}})
    said = cluster.apply(code=1)
    assert "no-such-level" in said, said
    assert cordoned(cluster) == {changing}
    want(cluster, changing, "containerd")
    cluster.apply()
    assert runtimes(cluster)[changing].startswith("containerd://")
    assert cordoned(cluster) == set()
    host = cluster.host(changing)
    assert not host.file("/var/lib/docker/containers").exists
    assert not host.file("/etc/docker/daemon.json").exists
    assert not host.service("docker.socket").is_running
    whole(cluster)


def test_a_node_with_docker_is_rebooted(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    cluster.command("reboot", name, "-i", cluster.inventory, "--yes")
    eventually(lambda: containers(cluster, name), what=f"{name} has pods again")
    whole(cluster)


def test_reset_leaves_docker_to_whom_it_was_left(cluster: Cluster) -> None:
    """What somebody runs by it besides stays, with its data."""
    name = cluster.nodes[0]
    cluster.sh(name, "tar c -C /usr/bin true | docker import --change 'ENTRYPOINT [\"/true\"]' - somebodys:1")
    cluster.sh(name, "docker create --name somebodys somebodys:1")
    said = cluster.command("reset", "-i", cluster.inventory, "--yes")
    assert "somebodys" in said
    host = cluster.host(name)
    assert not host.file("/var/lib/kubeinstall").exists
    assert not host.file("/usr/local/bin/cri-dockerd").exists
    assert not host.file("/var/lib/cri-dockerd").exists
    cluster.sh(name, "systemctl start docker.service")
    assert cluster.sh(name, "docker ps --all --format '{{.Names}}'").split() == ["somebodys"]


def test_docker_that_somebody_uses_is_refused(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    said = cluster.apply(code=1)
    assert f"{name}: its Docker Engine has 1 containers of somebody's" in " ".join(said.split())
    assert not cluster.host(name).file("/var/lib/kubeinstall").exists
