"""A service's address and node port lead to its backends, whatever becomes of them. So in both scenarios."""

from __future__ import annotations

from testinfra.host import Host

from roles.kube_proxy.molecule.services import Answer, Service, ask, service
from tests.lab import Lab, eventually


def backends(lab: Lab, asked: Service) -> list[set[str]]:
    """The names of the backends that answer, as each host finds them."""
    return [{answer.backend for answer in ask(lab, host, asked.address, times=20)} for host in lab.all]


def names(lab: Lab) -> list[set[str]]:
    """The same, as it is to be where all hosts are backends."""
    return [{lab.name(host) for host in lab.all} for _ in lab.all]


def refused(host: Host, asked: Service) -> bool:
    """Whether a client hears so; without a rule it would wait for an answer."""
    return "refused" in str(host.run(f"timeout 3 socat -u TCP:{asked.address}:80 STDOUT").stderr)


def test_a_new_service_reaches_all_its_backends_from_all_hosts(lab: Lab) -> None:
    with service(lab, lab.all) as new:
        what = f"each host reaches both backends by {new.address}, a new service's address"
        eventually(lambda: backends(lab, new) == names(lab), 15, what)


def test_a_node_port_answers_at_the_addresses_of_all_hosts(lab: Lab) -> None:
    ways = [(host, lab.address(other)) for host in lab.all for other in lab.all]
    with service(lab, lab.all) as new:
        what = f"each host is answered at port {new.node_port} of each"
        eventually(lambda: all(ask(lab, host, address, new.node_port) for host, address in ways), 15, what)


def test_a_node_port_of_the_local_policy_keeps_to_its_host_and_shows_who_asks(lab: Lab) -> None:
    one, other = lab.all
    with service(lab, [one], externalTrafficPolicy="Local") as new:
        unchanged = [Answer(lab.name(one), lab.address(other))]
        what = f"{lab.name(one)} answers, and sees the asking host's own address"
        eventually(lambda: ask(lab, other, lab.address(one), new.node_port) == unchanged, 15, what)
        assert ask(lab, one, lab.address(other), new.node_port) == [], "a host without a backend answers"


def test_a_client_stays_with_its_backend_where_the_service_says_so(lab: Lab) -> None:
    with service(lab, lab.all, sessionAffinity="ClientIP") as new:
        eventually(lambda: all(backends(lab, new)), 15, "each host is answered")
        assert [len(found) for found in backends(lab, new)] == [1, 1]


def test_a_backend_that_is_taken_out_or_not_ready_is_not_reached(lab: Lab) -> None:
    staying, leaving = lab.all
    with service(lab, lab.all) as new:
        eventually(lambda: backends(lab, new) == names(lab), 15, "both backends are reached")
        new.lead_to([staying])
        gone = f"{lab.name(leaving)}, taken out, is not reached any more"
        eventually(lambda: backends(lab, new) == [{lab.name(staying)}] * 2, 15, gone)
        new.lead_to([leaving], not_ready=[staying])
        gone = f"{lab.name(staying)}, not ready, is not reached any more"
        eventually(lambda: backends(lab, new) == [{lab.name(leaving)}] * 2, 15, gone)


def test_a_service_without_backends_refuses(lab: Lab) -> None:
    with service(lab, []) as new:
        eventually(lambda: all(refused(host, new) for host in lab.all), 15, "each host refuses")


def test_what_was_lost_is_made_again_by_a_kube_proxy_that_was_killed(lab: Lab) -> None:
    one, _ = lab.all
    with service(lab, lab.all) as new:
        eventually(lambda: ask(lab, one, new.address), 15, "the service answers")
        # The rules of either mode.
        lab.sh(one, "nft delete table ip kube-proxy || iptables --wait --table nat --flush KUBE-SERVICES")
        assert not ask(lab, one, new.address), "it answers without any rules"
        lab.sh(one, "systemctl kill --signal=KILL kube-proxy")
        eventually(lambda: ask(lab, one, new.address), 20, "the service answers again")
