"""What a living cluster can't follow is refused before a host is touched; what it can is added."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

from tests.cluster.test_3_living import variables
from tests.clusters import Cluster
from tests.lab import BIN, eventually

CIDR = "10.97.0.0/16"


def said(text: str) -> str:
    return " ".join(text.split())


def test_settings_that_a_cluster_keeps_are_refused(cluster: Cluster) -> None:
    before = cluster.invocations()
    changed = variables(
        cluster_pod_network="10.250.0.0/16",
        cluster_pod_network_node_prefix=25,
        cluster_service_network="10.98.0.0/16",
        cluster_domain="example.internal",
    )
    text = said(cluster.playbook("preflight", *changed, code=2))
    assert "the cluster's pod CIDR is 10.244.0.0/16" in text
    assert "the nodes have pod CIDRs of /24, which they keep" in text
    assert "the cluster's service CIDR is 10.96.0.0/16; Services keep their addresses" in text
    assert "the cluster's domain is cluster.local" in text
    # By the control plane that answers, also where a single role runs on a single node.
    only = ("--limit", cluster.nodes[0])
    text = said(cluster.playbook("kubelet", *only, *variables(cluster_domain="example.internal"), code=2))
    assert "the cluster's domain is cluster.local" in text
    assert cluster.invocations() == before


def test_a_downgrade_is_refused(cluster: Cluster) -> None:
    before = cluster.invocations()
    text = said(cluster.playbook("kube_apiserver", *variables(cluster_kubernetes_version="1.36.3"), code=2))
    assert (
        "cluster_kubernetes_version is 1.36.3, and Kubernetes 1.37.1 is installed: a downgrade is not supported" in text
    )
    assert cluster.invocations() == before


def test_a_check_gets_no_components(cluster: Cluster, tmp_path: Path) -> None:
    command = [BIN / "kubeinstall", "apply", "--check", "-i", cluster.inventory]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "kubernetes 1.37.1 is not in the cache: it would be fetched or built" in done.stdout
    assert "Nothing would change" in done.stdout
    assert not (tmp_path / "kubeinstall" / "components").exists()


def test_a_service_gets_an_address_of_an_added_service_cidr(cluster: Cluster) -> None:
    added = variables(cluster_additional_service_networks=[CIDR])
    before = cluster.invocations()
    cluster.playbook("cluster_manifests", *added)
    cluster.changes_nothing("cluster_manifests", *added)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "added", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.97.0.80", "selector": {"k8s-app": "kube-dns"}, "ports": [{"port": 8181}]},
    }

    def answers(host: str) -> bool:
        ready = "curl --silent --fail --max-time 5 http://10.97.0.80:8181/ready"
        return bool(cluster.host(host).run(ready).rc == 0)

    def made() -> bool:
        """The API server takes up the new CIDR some moments after the ServiceCIDR is there."""
        cluster.lab.kubectl("apply -f -", service)
        return True

    eventually(made, what="the API server gives out addresses of it")
    try:
        for host in cluster.nodes:
            eventually(partial(answers, host), what=f"the Service answers on {host}")
    finally:
        cluster.kubectl("delete", "service", "added", "--namespace", "kube-system")
    # It is named once it is not listed any more, and nothing else is done to it.
    assert "ServiceCIDR kubeinstall-10-97-0-0-16 is not in" in said(cluster.playbook("preflight"))
    cluster.kubectl("delete", "servicecidr", "kubeinstall-10-97-0-0-16")
    assert cluster.invocations() == before
