"""What the cluster's DNS says to a pod, and to who has the host's network."""

from __future__ import annotations

from uuid import uuid4

import pytest

from roles.coredns.molecule.names import ASKERS, addresses_of, ask, make, pods
from tests.lab import Lab, eventually

DOMAIN = "default.svc.cluster.local"

for_each = pytest.mark.parametrize("asker", ASKERS)


@pytest.fixture(scope="module", autouse=True)
def _world(lab: Lab) -> None:
    make(lab)


@for_each
def test_a_services_name_leads_to_its_address(lab: Lab, asker: str) -> None:
    eventually(lambda: ask(lab, asker, f"front.{DOMAIN}") == addresses_of(lab, "front"), 20, "the name is known")


@for_each
def test_a_headless_services_name_leads_to_its_pods(lab: Lab, asker: str) -> None:
    members = pods(lab)
    assert ask(lab, asker, f"members.{DOMAIN}") == set(members.values())
    assert ask(lab, asker, f"member-1.members.{DOMAIN}") == {members["member-1"]}


@for_each
def test_short_names_do_within_a_namespace(lab: Lab, asker: str) -> None:
    assert ask(lab, asker, "front") == addresses_of(lab, "front")


@for_each
def test_an_address_has_the_name_of_its_service(lab: Lab, asker: str) -> None:
    (address,) = addresses_of(lab, "front")
    assert ask(lab, asker, address) == {f"front.{DOMAIN}"}


@for_each
def test_a_new_service_is_known(lab: Lab, asker: str) -> None:
    name = f"new-{uuid4().hex[:8]}"
    lab.kubectl(f"create service clusterip {name} --tcp=80")
    try:
        # That there is none may be remembered for half a minute.
        eventually(lambda: ask(lab, asker, f"{name}.{DOMAIN}") == addresses_of(lab, name), 60, "the new name is known")
    finally:
        lab.kubectl(f"delete service {name}")


def test_its_own_pod_is_replaced_when_it_is_gone(lab: Lab) -> None:
    lab.kubectl("delete pods --namespace=kube-system --selector=k8s-app=kube-dns")
    lab.kubectl("rollout status deployment/coredns --namespace=kube-system --timeout=60s")
    eventually(lambda: ask(lab, ASKERS[0], f"front.{DOMAIN}") == addresses_of(lab, "front"), 20, "the name is known")
