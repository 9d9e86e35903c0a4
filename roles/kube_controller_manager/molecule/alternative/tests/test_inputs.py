"""What the inventory sets, by what becomes of nodes."""

from __future__ import annotations

import json
from uuid import uuid4

from roles.kube_controller_manager.molecule.nodes import nodes
from tests.lab import Lab, eventually


def test_nodes_get_shares_of_the_wanted_size_until_none_is_left(lab: Lab) -> None:
    def shares() -> list[str]:
        return sorted(node["spec"]["podCIDR"] for node in lab.objects("nodes") if "podCIDR" in node["spec"])

    def told(name: str) -> bool:
        events = lab.objects("events --field-selector=reason=CIDRNotAvailable")
        return name in [event["involvedObject"]["name"] for event in events]

    with nodes(lab, "one", "two", "three"):
        eventually(lambda: shares() == ["10.200.7.0/26", "10.200.7.64/26"], 20, "two nodes get their shares")
        (lacking,) = [node["metadata"]["name"] for node in lab.objects("nodes") if "podCIDR" not in node["spec"]]
        eventually(lambda: told(lacking), 15, "it is said that none is left for the third")


def test_a_node_that_never_speaks_is_given_up_when_the_user_says(lab: Lab) -> None:
    """After three seconds; it would be a minute."""
    # Another one each time: of a name that it knows it remembers since when.
    name = f"silent-{uuid4().hex[:8]}"

    def given_up() -> bool:
        (node,) = lab.objects(f"nodes --field-selector=metadata.name={name}")
        reasons = [condition["reason"] for condition in node["status"].get("conditions", [])]
        taints = [(taint["key"], taint["effect"]) for taint in node["spec"].get("taints", [])]
        unreachable = ("node.kubernetes.io/unreachable", "NoSchedule")
        return "NodeStatusNeverUpdated" in reasons and unreachable in taints

    with nodes(lab, name):
        eventually(given_up, 20, "a node that never spoke is given no pods")


def test_it_runs_as_part_of_the_wanted_cluster(lab: Lab) -> None:
    """Of these two, a cluster without a cloud's provider shows nothing but this."""
    admin = "--cert /etc/kubernetes/pki/admin.crt --key /etc/kubernetes/pki/admin.key"
    ask = f"curl --silent --show-error --fail --insecure --max-time 5 {admin} https://127.0.0.1:10257/configz"
    (found,) = json.loads(lab.sh(lab["control_plane"][0], ask)).values()
    assert found["KubeCloudShared"]["ClusterName"] == "borealis"
    assert found["NodeIPAMController"]["ServiceCIDR"] == "172.30.16.0/22"


def test_the_users_arguments_win_over_the_roles_own(lab: Lab) -> None:
    """The role has it listen for its own host only."""
    host = lab["control_plane"][0]
    ask = f"curl --silent --show-error --insecure --max-time 5 https://{lab.address(host)}:10257/healthz"
    assert lab.sh(host, ask) == "ok"


def test_it_comes_back_when_it_is_killed(lab: Lab) -> None:
    # It waits until the one that was killed leads no more: not for long, as the user wants it.
    (lead,) = lab.objects("leases --namespace=kube-system --field-selector=metadata.name=kube-controller-manager")
    assert lead["spec"]["leaseDurationSeconds"] == 4
    lab.sh(lab["control_plane"][0], "systemctl kill --signal=KILL kube-controller-manager")
    name = f"test-{uuid4().hex[:8]}"
    lab.kubectl(f"create namespace {name}")
    try:
        eventually(lambda: lab.objects(f"serviceaccounts --namespace={name}"), 40, "it does its work again")
    finally:
        lab.kubectl(f"delete namespace {name} --wait=false")
