"""Which node a pod is given. See ../../prepare.yml for the three there are: small, large, and one with a taint."""

from __future__ import annotations

from typing import Any

from roles.kube_scheduler.molecule.pods import pod
from tests.lab import Lab, eventually

TOLERATED = [{"key": "reserved", "operator": "Exists"}]


def test_a_pod_gets_the_node_that_has_room(lab: Lab) -> None:
    with pod(lab, "medium", cpu="4") as medium:
        assert medium.is_bound_to() == "large"


def test_what_is_taken_is_no_room(lab: Lab) -> None:
    with pod(lab, "first", cpu="7") as first:
        assert first.is_bound_to() == "large"
        with pod(lab, "second", cpu="1500m") as second:
            assert second.is_bound_to() == "small"


def test_a_pod_waits_for_a_node_that_has_room(lab: Lab) -> None:
    late: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "late"}}
    lab.kubectl("delete node late --ignore-not-found")
    with pod(lab, "huge", cpu="48") as huge:
        reason = huge.waits_because()
        assert reason.startswith("0/3 nodes are available: ")
        assert "1 node(s) had untolerated taint" in reason
        assert "2 Insufficient cpu" in reason
        lab.kubectl("create --filename=-", late | {"status": {"allocatable": {"cpu": "64", "pods": "10"}}})
        try:
            lab.kubectl("taint node late node.kubernetes.io/not-ready-")
            assert huge.is_bound_to() == "late"
        finally:
            lab.kubectl("delete node late")


def test_a_pod_gets_a_node_with_a_taint_only_if_it_tolerates_it(lab: Lab) -> None:
    with pod(lab, "stranger", cpu="16") as stranger:
        assert "untolerated taint" in stranger.waits_because()
        with pod(lab, "friend", cpu="16", tolerations=TOLERATED) as friend:
            assert friend.is_bound_to() == "reserved"


def test_a_pod_gets_a_node_of_the_kind_it_selects(lab: Lab) -> None:
    with (
        pod(lab, "slow", nodeSelector={"disk": "slow"}) as slow,
        pod(lab, "fast", nodeSelector={"disk": "fast"}) as fast,
    ):
        assert slow.is_bound_to() == "small"
        assert fast.is_bound_to() == "large"
    with pod(lab, "elsewhere", nodeSelector={"disk": "none"}) as elsewhere:
        assert "didn't match Pod's node affinity/selector" in elsewhere.waits_because()


def test_pods_that_avoid_each_other_get_different_nodes(lab: Lab) -> None:
    avoid = {"labelSelector": {"matchLabels": {"app": "shy"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [avoid]}}
    with (
        pod(lab, "shy-1", labels={"app": "shy"}, affinity=affinity) as one,
        pod(lab, "shy-2", labels={"app": "shy"}, affinity=affinity) as other,
        pod(lab, "shy-3", labels={"app": "shy"}, affinity=affinity) as third,
    ):
        assert {one.is_bound_to(), other.is_bound_to()} == {"small", "large"}
        assert "didn't match pod anti-affinity rules" in third.waits_because()


def test_an_urgent_pod_takes_the_place_of_another(lab: Lab) -> None:
    lab.kubectl("delete priorityclass urgent --ignore-not-found")
    lab.kubectl("create priorityclass urgent --value=1000")
    try:
        with pod(lab, "patient", cpu="7") as patient:
            assert patient.is_bound_to() == "large"
            with pod(lab, "urgent", cpu="6", priorityClassName="urgent") as urgent:
                sent_away = "the pod that has its place is deleted"
                eventually(lambda: "deletionTimestamp" in patient.read()["metadata"], 20, sent_away)
                # As its kubelet says, once it has stopped it.
                lab.kubectl("delete pod patient --force")
                assert urgent.is_bound_to() == "large"
    finally:
        lab.kubectl("delete priorityclass urgent")
