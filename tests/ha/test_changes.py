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
            # Its parser takes it; what it means is seen at the start.
            wrong = variables(kube_apiserver_extra_arguments={"audit-log-mode": "no-such-mode"})
            said = cluster.playbook("kube_apiserver", *wrong, code=2)
            after = cluster.invocations()
            left = [name for name in cluster.control_plane if "no-such-mode" in cluster.sh(name, f"cat {unit}")]
            changed = {name for name in before if after[name] != before[name]}
            right = variables(kube_apiserver_extra_arguments={"v": "1"})
            cluster.playbook("kube_apiserver", *right)
            assert runs_with(cluster, "kube-apiserver", "--v=1") == cluster.control_plane
    finally:
        cluster.playbook("kube_apiserver")
    assert "no-such-mode" in said
    assert "Its former configuration was restored, and kube-apiserver.service runs with it." in " ".join(said.split())
    assert left == []
    (restarted,) = changed
    name, _, service = restarted.partition("/")
    assert service == "kube-apiserver.service"
    assert f"was not restarted: {name} failed before it" in said
    assert seen.api.failures == 0, f"{seen.api}"
    assert seen.service.failures == 0, f"{seen.service}"
    whole(cluster)


# At its next start containerd serves everything but pods.
WITHOUT_CRI = """
sed "s/disabled_plugins = \\[/&'io.containerd.grpc.v1.cri', /" /etc/containerd/config.toml >/etc/containerd/test.toml
mkdir /etc/systemd/system/containerd.service.d
cat >/etc/systemd/system/containerd.service.d/test.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/local/bin/containerd --config=/etc/containerd/test.toml
END
"""
WITH_CRI = "rm -r /etc/systemd/system/containerd.service.d /etc/containerd/test.toml; systemctl daemon-reload"


def test_a_container_runtime_without_cri_goes_no_further_than_the_first_node(cluster: Cluster) -> None:
    for name in cluster.addresses:
        cluster.sh(name, WITHOUT_CRI)
    before = cluster.invocations()
    wrong = {"container_engine_extra_arguments": {"log-level": "info"}, "cluster_ready_timeout": 20}
    try:
        output = cluster.playbook("container_engine", *variables(**wrong), code=2)
        changed = {name for name, invocation in cluster.invocations().items() if invocation != before[name]}
        # One host, or one of each kind where nodes have a batch of their own: control planes go beside them.
        assert {name.partition("/")[2] for name in changed} == {"containerd.service"}
        assert 1 <= len(changed) <= 2, changed
        assert "does not serve CRI: it refuses the call Status" in " ".join(output.split())
        stopped = [name.partition("/")[0] for name in changed]
        assert any(f"was not restarted: {name} failed before it" in output for name in stopped), output
    finally:
        for name in cluster.addresses:
            cluster.sh(name, WITH_CRI)
        cluster.playbook("container_engine")
    whole(cluster)


def test_a_kubelet_that_does_not_report_goes_no_further_than_the_first_node(cluster: Cluster) -> None:
    """It answers its health check as before; only its Node tells that it reaches no API server."""
    before = cluster.invocations()
    wrong = {"kubelet_api_server": "https://127.0.0.1:9", "cluster_ready_timeout": 20}
    try:
        output = cluster.playbook("kubelet", *variables(**wrong), code=2)
        changed = {name for name, invocation in cluster.invocations().items() if invocation != before[name]}
        assert len(changed) <= 2, changed
        for name in (name.partition("/")[0] for name in changed):
            assert f"Node {name}: the API server at https://127.0.0.1:9 did not answer" in " ".join(output.split())
    finally:
        cluster.playbook("kubelet")
    whole(cluster)


def test_controllers_are_at_work_between_two_turns(cluster: Cluster) -> None:
    """After a restart a leader renews its lease before the next control plane's turn."""
    changed = variables(kube_controller_manager_extra_arguments={"v": "1"}, kube_scheduler_extra_arguments={"v": "1"})
    for name, unit in (("kube_controller_manager", "kube-controller-manager"), ("kube_scheduler", "kube-scheduler")):
        cluster.playbook(name, *changed)
        assert runs_with(cluster, unit, "--v=1") == cluster.control_plane
        cluster.playbook(name)
    whole(cluster)
