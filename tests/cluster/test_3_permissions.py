"""What the keys on a node can change: nothing of other nodes, and nothing that makes a run change what is not ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clusters import Cluster
from tests.keys import patch_node
from tests.lab import eventually

FOREIGN = {"key": "dedicated", "value": "pci", "effect": "NoSchedule"}
PUBLIC_IP = "flannel.alpha.coreos.com/public-ip"


def patch(cluster: Cluster, host: str, key: str, path: str, body: object) -> int:
    return patch_node(cluster.lab, cluster.host(host), key, path, body).code


def node(cluster: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    return found


@pytest.mark.parametrize("body", [{"annotations": {PUBLIC_IP: "192.0.2.66"}}, {"labels": {"tier": "pci"}}])
def test_flannels_key_changes_no_other_node(cluster: Cluster, body: object) -> None:
    one, other = cluster.nodes
    before = node(cluster, other)["metadata"]
    assert patch(cluster, one, "flannel", f"{other}/status", {"metadata": body}) == 422
    after = node(cluster, other)["metadata"]
    assert (after["annotations"], after["labels"]) == (before["annotations"], before["labels"])


def test_flannels_key_changes_of_its_own_node_what_is_flannels(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    for label in ("tier", "node-restriction.kubernetes.io/tier"):
        assert patch(cluster, name, "flannel", f"{name}/status", {"metadata": {"labels": {label: "pci"}}}) == 422
    own = {"metadata": {"annotations": {PUBLIC_IP: cluster.addresses[name]}}}
    assert patch(cluster, name, "flannel", f"{name}/status", own) == 200
    # As after a reboot that has given the tunnel another address: flannel says so, and is believed.
    cluster.sh(name, "systemctl stop flanneld && ip link delete flannel.1 && systemctl start flanneld")
    eventually(lambda: cluster.host(name).service("flanneld").is_running, what="flannel is ready again")


def test_a_run_leaves_foreign_taints_and_labels_whatever_the_node_records(cluster: Cluster) -> None:
    name = cluster.nodes[0]
    cluster.kubectl("taint", "node", name, "dedicated=pci:NoSchedule")
    cluster.kubectl("label", "node", name, "rack=7")
    try:
        forged = {"kubeinstall/taints": json.dumps([FOREIGN]), "kubeinstall/cordoned-to-reboot": "true"}
        owned = {"fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {"f:rack": {}}}}}
        owner = {"manager": "kubeinstall", "operation": "Apply", "apiVersion": "v1", **owned}
        body = {"metadata": {"annotations": forged, "managedFields": [owner]}}
        assert patch(cluster, name, "kubelet-client", name, body) == 200
        cluster.playbook("cluster_manifests")
        found = node(cluster, name)
        assert FOREIGN in found["spec"]["taints"]
        assert found["metadata"]["labels"]["rack"] == "7"
        assert "kubeinstall/taints" not in found["metadata"]["annotations"]
        cluster.changes_nothing("cluster_manifests")
    finally:
        cluster.kubectl("taint", "node", name, "dedicated-")
        cluster.kubectl("label", "node", name, "rack-")
        cluster.kubectl("annotate", "node", name, "kubeinstall/cordoned-to-reboot-", "kubeinstall/taints-")
