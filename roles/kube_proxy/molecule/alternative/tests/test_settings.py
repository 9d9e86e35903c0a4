"""What is the alternative scenario's own; the rest it has from the default one."""

from __future__ import annotations

from roles.kube_proxy.molecule.services import ask, peers, service
from tests.lab import Lab, eventually


def test_it_works_by_iptables(lab: Lab) -> None:
    assert {lab.sh(host, "curl --silent http://127.0.0.1:10249/proxyMode") for host in lab.all} == {"iptables"}


def test_the_api_answers_at_its_service_address_in_the_wanted_network(lab: Lab) -> None:
    for host in lab.all:
        authority = "--cacert /etc/kubernetes/pki/ca.crt"
        assert lab.sh(host, f"curl --silent --show-error --max-time 5 {authority} https://172.30.0.1/readyz") == "ok"


def test_addresses_of_the_wanted_network_of_pods_are_kept_and_others_hidden(lab: Lab) -> None:
    one, _ = lab.all
    # The second would be a pod's by default.
    seen = peers(lab, "172.29.77.7", "10.244.77.7")
    assert seen == ["172.29.77.7", lab.address(one)]


def test_the_users_arguments_arrive(lab: Lab) -> None:
    with service(lab, lab.all) as new:
        eventually(lambda: all(ask(lab, host, new.address) for host in lab.all), 15, "each host is answered")
        for host in lab.all:
            # What only a verbosity of 4 tells.
            assert "Calling handler.OnServiceAdd" in lab.journal(host, "kube-proxy", lines=100)
