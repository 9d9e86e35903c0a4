"""How a cluster stands: whether it is whole, who leads its etcd, what its nodes say."""

from __future__ import annotations

import json

from tests.clusters import Cluster
from tests.lab import eventually, recap

__all__ = ["ETCDCTL", "boots", "cordoned", "leader", "nodes", "runs_with", "whole"]

ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
)


def whole(cluster: Cluster) -> None:
    """The cluster does its work on all of its hosts, and a run finds nothing to change or to restart."""
    eventually(
        lambda: "does its work" in cluster.command("verify", "-i", cluster.inventory, code=None),
        timeout=150,
        what=f"{cluster.inventory.name} does its work",
    )
    before = cluster.invocations()
    said = cluster.playbook("site", "--diff")
    assert {name: counts["changed"] for name, counts in recap(said).items()} == dict.fromkeys(cluster.addresses, 0), (
        said
    )
    assert cluster.invocations() == before


def boots(cluster: Cluster) -> dict[str, str]:
    """Which boot each host is in: when its first process was started."""
    return {name: cluster.sh(name, "cut -d ' ' -f 22 /proc/1/stat").strip() for name in cluster.addresses}


def cordoned(cluster: Cluster) -> set[str]:
    return {node["metadata"]["name"] for node in cluster.lab.objects("nodes") if node["spec"].get("unschedulable")}


def leader(cluster: Cluster, without: str = "") -> str:
    """The host of etcd's leader, as the members on hosts other than `without` say; none yet fails."""
    for name in cluster.etcd:
        if name != without:
            (said,) = json.loads(cluster.sh(name, f"{ETCDCTL} endpoint status --write-out=json"))
            if said["Status"]["header"]["member_id"] == said["Status"]["leader"]:
                return name
    raise AssertionError("no member of etcd leads")


def nodes(cluster: Cluster, asked: str) -> dict[str, str]:
    """{node: status of its condition Ready}, as a control plane that is up says."""
    said = json.loads(cluster.sh(asked, "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --output=json"))
    return {
        node["metadata"]["name"]: next(
            condition["status"] for condition in node["status"]["conditions"] if condition["type"] == "Ready"
        )
        for node in said["items"]
    }


def runs_with(cluster: Cluster, unit: str, argument: str) -> list[str]:
    """The hosts whose service runs with an argument."""
    command = f"tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {unit})/cmdline"
    hosts = [name for name in cluster.addresses if unit in cluster.units(name)]
    return [name for name in hosts if argument in cluster.sh(name, command).splitlines()]
