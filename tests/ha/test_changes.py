"""Changes of a living cluster: host by host, unseen by its clients; a bad one goes no further than the first host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clusters import Cluster
from tests.ha.state import runs_with, whole
from tests.ha.traffic import traffic


def variables(**values: Any) -> tuple[str, str]:
    return "-e", json.dumps(values)


@pytest.mark.quick
def test_another_argument_of_the_api_servers(cluster: Cluster) -> None:
    with traffic(cluster) as seen:
        cluster.playbook("kube_apiserver", *variables(kube_apiserver_extra_arguments={"v": "1"}))
        assert runs_with(cluster, "kube-apiserver", "--v=1") == cluster.control_plane
        cluster.playbook("kube_apiserver")
    assert seen.api.failures == 0, f"{seen.api}"
    # At most the one read that was under way on the kept connection when a server stopped.
    assert seen.api.asked_again <= 2 * len(cluster.control_plane), f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_another_argument_of_etcd(cluster: Cluster) -> None:
    with traffic(cluster) as seen:
        cluster.playbook("etcd", *variables(etcd_extra_arguments={"max-txn-ops": "129"}))
        assert runs_with(cluster, "etcd", "--max-txn-ops=129") == cluster.etcd
        cluster.playbook("etcd")
    assert seen.api.failures == 0, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_another_argument_of_the_container_engines_and_kubelets(cluster: Cluster) -> None:
    def pods() -> dict[str, int]:
        return {
            pod["metadata"]["uid"]: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
            for pod in cluster.objects("pods", "--all-namespaces")
        }

    changed = variables(container_engine_extra_arguments={"log-level": "info"}, kubelet_extra_arguments={"v": "1"})
    with traffic(cluster) as seen:
        before = pods()
        cluster.playbook("container_engine", *changed)
        cluster.playbook("kubelet", *changed)
        assert runs_with(cluster, "kubelet", "--v=1") == list(cluster.addresses)
        assert runs_with(cluster, "containerd", "--log-level=info") == list(cluster.addresses)
        cluster.playbook("container_engine")
        cluster.playbook("kubelet")
        assert pods() == before
    assert seen.api.failures == 0, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


def test_a_wrong_argument_goes_no_further_than_the_first_api_server(cluster: Cluster) -> None:
    unit = "/etc/systemd/system/kube-apiserver.service"
    before = cluster.invocations()
    try:
        with traffic(cluster, "a wrong argument of the API servers, and the right one") as seen:
            wrong = variables(kube_apiserver_extra_arguments={"no-such-flag": "1"})
            said = cluster.playbook("kube_apiserver", *wrong, code=2)
            after = cluster.invocations()
            stopped = [name for name in cluster.control_plane if "no-such-flag" in cluster.sh(name, f"cat {unit}")]
            changed = {name for name in before if after[name] != before[name]}
            right = variables(kube_apiserver_extra_arguments={"v": "1"})
            cluster.playbook("kube_apiserver", *right)
            assert runs_with(cluster, "kube-apiserver", "--v=1") == cluster.control_plane
    finally:
        cluster.playbook("kube_apiserver")
    assert "unknown flag: --no-such-flag" in said
    assert len(stopped) == 1
    assert f"was not restarted: {stopped[0]} failed before it" in said
    assert changed == {f"{stopped[0]}/kube-apiserver.service"}
    assert seen.api.failures == 0, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)
