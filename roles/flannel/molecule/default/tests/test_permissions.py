"""What the certificate on a host is good for: the network of that host, and nothing else in the cluster."""

from __future__ import annotations

from testinfra.host import Host

from tests.keys import Answer, patch_node
from tests.lab import Lab, eventually

PUBLIC_IP = "flannel.alpha.coreos.com/public-ip"


def patch(lab: Lab, host: Host, node: str, body: object) -> Answer:
    return patch_node(lab, host, "flannel", f"{node}/status", body)


def annotation(key: str, value: str | None) -> object:
    return {"metadata": {"annotations": {key: value}}}


def test_a_host_changes_its_own_node_only(lab: Lab) -> None:
    (one, other), (name, another) = lab.all, map(lab.name, lab.all)
    own = {lab.name(host): lab.address(host) for host in lab.all}
    assert patch(lab, one, name, annotation(PUBLIC_IP, own[name])) == (200, "")
    assert patch(lab, other, another, annotation(PUBLIC_IP, own[another])) == (200, "")
    code, message = patch(lab, one, another, annotation(PUBLIC_IP, "192.0.2.66"))
    assert code == 422
    assert f"this user can change its own Node only, not {another}" in message


def test_a_host_changes_nothing_of_its_node_that_is_not_flannels(lab: Lab) -> None:
    host = lab.all[-1]
    for body in (
        {"metadata": {"labels": {"node-restriction.kubernetes.io/tier": "pci"}}},
        annotation("kubeinstall/taints", "[]"),
        {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.66"}]}},
    ):
        code, message = patch(lab, host, lab.name(host), body)
        assert code == 422, body
        assert "this user can change" in message


def test_a_host_changes_nothing_once_it_was_removed(lab: Lab) -> None:
    host = lab.all[-1]
    name, marks = lab.name(host), "configmap kubeinstall-removed --namespace=kube-system"
    lab.kubectl(f"create {marks} --from-literal=node.{name}={{}}")
    try:

        def code() -> int:
            return patch(lab, host, name, annotation(PUBLIC_IP, lab.address(host)))[0]

        eventually(lambda: code() == 422, 10, "what its flannel says is refused")
    finally:
        lab.kubectl(f"delete {marks}")
    eventually(lambda: code() == 200, 10, "what its flannel says is taken again")
