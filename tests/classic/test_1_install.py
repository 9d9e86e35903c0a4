"""flannel on etcd from nothing: its leases, its limits, and what it survives."""

from __future__ import annotations

import json

from tests.classic.state import FLANNEL, leases, refused
from tests.clusters import Cluster
from tests.ha.state import ETCDCTL, whole
from tests.lab import eventually


def test_an_install_is_foreseen_and_touches_nothing(lab: Cluster) -> None:
    foreseen = lab.apply("--check", "--diff")
    for text in (
        "make the etcd user flannel, limited to /coreos.com/network/",
        "put flannel's network in etcd",
        "enable etcd's authentication",
        "/etc/kubernetes/pki/flannel-etcd-client.crt",
    ):
        assert text in foreseen, text
    for name in lab.addresses:
        assert not lab.host(name).file("/etc/flannel").exists


def test_pods_reach_each_other_and_a_second_run_finds_nothing_to_do(cluster: Cluster) -> None:
    assert len(cluster.etcd) == 3
    whole(cluster)


def test_each_node_has_the_share_of_its_podcidr_by_a_lease_in_etcd(cluster: Cluster) -> None:
    found = leases(cluster, cluster.control_plane[0])
    shares = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in cluster.objects("nodes")}
    assert {name: found[address]["share"] for name, address in cluster.addresses.items()} == shares
    assert {lease["BackendType"] for lease in found.values()} == {"vxlan"}
    config = json.loads(cluster.sh(cluster.etcd[0], f"{ETCDCTL} get /coreos.com/network/config --print-value-only"))
    assert config["Backend"] == {"Type": "vxlan"}
    for name in cluster.addresses:
        assert "--kube-subnet-mgr" not in cluster.sh(name, "cat /etc/systemd/system/flanneld.service")
        assert cluster.host(name).file("/etc/kubernetes/flannel.conf").exists is False


def test_flannels_certificate_reaches_its_prefix_and_nothing_else(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=swordfish")
    node = cluster.nodes[0]
    assert cluster.sh(node, f"{ETCDCTL} get /registry/secrets/default/hidden --keys-only").strip()
    assert cluster.sh(node, f"{FLANNEL} get /coreos.com/network/config").strip()
    for command in (
        "get /registry/secrets/default/hidden",
        "get / --prefix --keys-only",
        "put /registry/secrets/default/hidden x",
        "put /coreos.com/other x",
        "del /registry/ --prefix",
        "user add intruder --no-password",
        "auth disable",
        "snapshot save /run/stolen.db",
    ):
        assert refused(cluster, node, f"{FLANNEL} {command}"), command
    assert cluster.kubectl("get", "secret", "hidden", "-o", "jsonpath={.data.word}") == "c3dvcmRmaXNo"
    cluster.kubectl("delete", "secret", "hidden")


def test_nobody_without_a_user_is_let_in(cluster: Cluster) -> None:
    """A member's own certificate has the host's name, which is no user's."""
    server = ETCDCTL.replace("healthcheck-client", "server")
    node = cluster.nodes[0]
    assert refused(cluster, node, f"{server} get /registry/ --prefix --keys-only")


def test_a_lost_member_and_a_compaction_are_survived(cluster: Cluster) -> None:
    first, lost = cluster.control_plane[0], cluster.nodes[1]
    cluster.sh(lost, "systemctl stop etcd")
    try:
        (said,) = json.loads(cluster.sh(first, f"{ETCDCTL} endpoint status --write-out=json"))
        cluster.sh(first, f"{ETCDCTL} compact --physical {said['Status']['header']['revision']}")
        # One that begins anew, and one whose lease is gone: it ends, is started again and takes its share again.
        cluster.sh(cluster.nodes[0], "systemctl restart flanneld")
        address = cluster.addresses[lost]
        share = leases(cluster, first)[address]["share"]
        cluster.sh(first, f"{ETCDCTL} del /coreos.com/network/subnets/{share.replace('/', '-')}")
        eventually(lambda: leases(cluster, first).get(address, {}).get("share") == share, what="a new lease")
    finally:
        cluster.sh(lost, "systemctl start etcd")
    whole(cluster)
    assert {lease["share"] for lease in leases(cluster, first).values()} == {
        node["spec"]["podCIDR"] for node in cluster.objects("nodes")
    }
