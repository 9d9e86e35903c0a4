"""What is the default scenario's own."""

from __future__ import annotations

from roles.kube_proxy.molecule.services import peers
from tests.lab import Lab


def test_it_works_by_nftables(lab: Lab) -> None:
    assert {lab.sh(host, "curl --silent http://127.0.0.1:10249/proxyMode") for host in lab.all} == {"nftables"}


def test_the_api_answers_at_its_service_address(lab: Lab) -> None:
    for host in lab.all:
        authority = "--cacert /etc/kubernetes/pki/ca.crt"
        assert lab.sh(host, f"curl --silent --show-error --max-time 5 {authority} https://10.96.0.1/readyz") == "ok"


def test_addresses_of_pods_are_kept_and_those_from_outside_hidden(lab: Lab) -> None:
    one, _ = lab.all
    seen = peers(lab, "10.244.77.7", "192.0.2.7")
    assert seen == ["10.244.77.7", lab.address(one)]
