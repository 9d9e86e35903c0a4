"""Another domain, more than one pod, and a name server for all other names."""

from __future__ import annotations

import pytest

from roles.coredns.molecule.names import ASKERS, addresses_of, ask, make, pods
from tests.lab import Lab, eventually

for_each = pytest.mark.parametrize("asker", ASKERS)


@pytest.fixture(scope="module", autouse=True)
def _world(lab: Lab) -> None:
    make(lab)


@for_each
def test_names_are_those_of_the_domain(lab: Lab, asker: str) -> None:
    front = addresses_of(lab, "front")
    eventually(lambda: ask(lab, asker, "front.default.svc.example.internal") == front, 20, "the name is known")
    assert ask(lab, asker, "front") == front
    assert ask(lab, asker, "members") == set(pods(lab).values())
    with pytest.raises(AssertionError, match="can't find"):
        ask(lab, asker, "front.default.svc.cluster.local")


@for_each
def test_another_name_server_is_asked_for_other_names(lab: Lab, asker: str) -> None:
    assert ask(lab, asker, "printer.office.test") == {"192.0.2.7"}
    with pytest.raises(AssertionError, match="NXDOMAIN"):
        ask(lab, asker, "scanner.office.test")


def test_each_host_has_a_pod_of_it_that_answers(lab: Lab) -> None:
    lab.kubectl("rollout status deployment/coredns --namespace=kube-system --timeout=60s")
    servers = lab.objects("pods --namespace=kube-system --selector=k8s-app=kube-dns")
    assert sorted(pod["spec"]["nodeName"] for pod in servers) == sorted(lab.name(host) for host in lab.all)
    for pod in servers:
        name = "front.default.svc.example.internal"
        assert ask(lab, ASKERS[0], name, server=pod["status"]["podIP"]) == addresses_of(lab, "front")
