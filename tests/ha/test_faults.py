"""Any one host loses its power, or the first its API server: the rest goes on, and runs find one that serves."""

from __future__ import annotations

import json

import pytest

from kubeinstall import lab as labs
from tests.clusters import Cluster
from tests.ha.state import leader, nodes, whole
from tests.ha.traffic import traffic
from tests.lab import eventually


@pytest.mark.parametrize("which", ["the leader of etcd", "a control plane that follows", "a node"])
def test_a_host_that_loses_its_power(cluster: Cluster, which: str) -> None:
    leading = leader(cluster)
    name = {
        "the leader of etcd": leading,
        # The first one, if it does not lead: it is no more special than the others.
        "a control plane that follows": next(name for name in cluster.control_plane if name != leading),
        "a node": cluster.nodes[0],
    }[which]
    asked = next(other for other in cluster.control_plane if other != name)
    with traffic(cluster, f"{which} is killed, and started again", without=[name]) as seen:
        labs.stop(name)
        try:
            # Long enough for every other kubelet that was sent to this host to be missed, too.
            eventually(lambda: nodes(cluster, asked)[name] == "Unknown", timeout=120, what=f"{name} is missed")
            assert {other for other, ready in nodes(cluster, asked).items() if ready != "True"} == {name}
        finally:
            labs.start(name)
        eventually(lambda: nodes(cluster, asked)[name] == "True", timeout=120, what=f"{name} is Ready again")
        eventually(
            lambda: all(cluster.host(name).service(unit).is_running for unit in cluster.units(name)),
            what=f"all services of {name} run",
        )
    assert seen.api.longest_gap < 10, f"{seen.api}"
    assert seen.service.longest_gap < 10, f"{seen.service}"
    whole(cluster)


def test_runs_go_to_another_api_server_where_the_first_is_down(cluster: Cluster) -> None:
    first = cluster.control_plane[0]
    # No playbook but its own starts it again.
    cluster.sh(first, "systemctl stop kube-apiserver")
    try:
        for name in ("flannel", "coredns", "cluster_manifests", "verify_clean"):
            cluster.playbook(name)
        cluster.playbook("cluster_manifests", "-e", json.dumps({"node_labels": {"written-through": "another"}}))
        assert len(cluster.objects("nodes", "--selector=written-through=another")) == len(cluster.addresses)
        cluster.playbook("cluster_manifests")
        assert not cluster.host(first).service("kube-apiserver").is_running
    finally:
        cluster.sh(first, "systemctl start kube-apiserver")
    whole(cluster)
