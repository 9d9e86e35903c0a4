"""Who may do what: those who show nothing, those who show something false, and those who are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeinstall.pki import PKI
from roles.kube_apiserver.molecule.caller import Caller
from tests.lab import Lab, eventually

CONFIGMAPS = "/api/v1/namespaces/{}/configmaps"
SECRETS = "/api/v1/namespaces/{}/secrets"
READER = "role/reader rolebinding/reader"


def test_who_shows_nothing_learns_whether_it_is_healthy_and_nothing_else(lab: Lab) -> None:
    anonymous = Caller(lab)
    for path in ("/livez", "/readyz", "/healthz"):
        assert anonymous.ask(path).text == "ok"
    for path in ("/", "/api", "/livez/etcd", "/metrics", "/openapi/v2", "/version", SECRETS.format("kube-system")):
        assert anonymous.ask(path).status_code == 401, f"an anonymous caller is answered {path}"


def test_who_was_certified_elsewhere_is_nobody(lab: Lab, tmp_path: Path) -> None:
    administrators = ("system:masters", "kubeinstall:cluster-admins")
    elsewhere = PKI(tmp_path)
    elsewhere.ensure()
    assert Caller(lab, "root", administrators).ask(SECRETS.format("default")).status_code == 200
    assert Caller(lab, "root", administrators, signer=elsewhere).ask(SECRETS.format("default")).status_code == 401


def test_a_user_has_the_rights_that_were_given_and_no_others(lab: Lab) -> None:
    ann = Caller(lab, "ann")
    path = CONFIGMAPS.format("default")
    lab.kubectl(f"delete --ignore-not-found {READER}")
    eventually(lambda: ann.ask(path).status_code == 403, 10, "ann has no rights yet")
    assert 'User "ann" cannot list resource "configmaps"' in ann.ask(path).json()["message"]
    lab.kubectl("create role reader --verb=list --resource=configmaps")
    lab.kubectl("create rolebinding reader --role=reader --user=ann")
    try:
        eventually(lambda: ann.ask(path).status_code == 200, 10, "ann may list ConfigMaps")
        assert ann.ask(path, {"metadata": {"name": "anns"}}).status_code == 403, "ann may write what she may read"
        assert ann.ask(SECRETS.format("default")).status_code == 403, "ann may list more than she was allowed"
        assert ann.ask(CONFIGMAPS.format("kube-system")).status_code == 403, "ann may list another namespace's"
    finally:
        lab.kubectl(f"delete {READER}")
    eventually(lambda: ann.ask(path).status_code == 403, 10, "ann's rights are taken away")


def test_operators_may_do_all(lab: Lab) -> None:
    """By a right that the role gives them, not by one that nobody can take away."""
    operator = Caller(lab, "bob", ["kubeinstall:cluster-admins"])
    assert operator.ask(SECRETS.format("kube-system")).status_code == 200


@pytest.mark.parametrize(("right", "answer"), [("get nodes/proxy", "yes"), ("list secrets", "no")])
def test_towards_kubelets_the_server_may_do_what_it_has_to(lab: Lab, right: str, answer: str) -> None:
    host = lab["control_plane"][0]
    pki = "/etc/kubernetes/pki"
    as_server = (
        f"--server=https://127.0.0.1:6443 --certificate-authority={pki}/ca.crt"
        f" --client-certificate={pki}/apiserver-kubelet-client.crt --client-key={pki}/apiserver-kubelet-client.key"
    )
    # Its exit code says it again.
    assert host.run(f"kubectl {as_server} auth can-i {right}").stdout.strip() == answer


def test_a_kubelet_has_to_do_with_its_own_node_only(lab: Lab) -> None:
    kubelet = Caller(lab, "system:node:mine", ["system:nodes"])
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mine"},
        "spec": {
            "nodeName": "mine",
            "containers": [{"name": "main", "image": "none", "envFrom": [{"secretRef": {"name": "mine"}}]}],
        },
    }
    try:
        made = kubelet.ask("/api/v1/nodes", node("mine"))
        assert made.status_code == 201, made.text
        refused = kubelet.ask("/api/v1/nodes", node("another"))
        assert refused.status_code == 403
        assert "not allowed to modify node" in refused.text
        for name in ("mine", "anothers"):
            lab.kubectl(f"create secret generic {name} --from-literal=for={name}")
        lab.kubectl("create serviceaccount default")
        lab.kubectl("create --filename=-", pod)
        needed = SECRETS.format("default") + "/mine"
        eventually(lambda: kubelet.ask(needed).status_code == 200, 10, "it reads the Secret that its pod needs")
        assert kubelet.ask(SECRETS.format("default") + "/anothers").status_code == 403
    finally:
        lab.kubectl("delete --ignore-not-found --force pod/mine secret/mine secret/anothers serviceaccount/default")
        lab.kubectl("delete --ignore-not-found node mine another")


def test_a_service_accounts_token_is_good_as_long_as_the_account_is_there(lab: Lab) -> None:
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    lab.kubectl("delete serviceaccount robot --ignore-not-found")
    lab.kubectl("create serviceaccount robot")
    # Who was known a moment ago is for ten seconds: the other one's token is new to the server.
    robot, other = [Caller(lab, token=lab.kubectl("create token robot").strip()) for _ in range(2)]
    answer = robot.ask(review, who)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
    lab.kubectl("delete serviceaccount robot")
    assert other.ask(review, who).status_code == 401, "the token of an account that is gone is taken"


def node(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
