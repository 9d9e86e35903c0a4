"""Callers on a host reach whichever API server is well, by 127.0.0.1, and notice none of what becomes of the others."""

from __future__ import annotations

import json
import time

import pytest
from testinfra.host import Host

from tests.callers import background, calls, failed
from tests.lab import Lab, converge, eventually

URL = "https://127.0.0.1:7443"
CURL = "curl --silent --fail --max-time 10 --cacert /etc/kubernetes/pki/ca.crt"
ADMIN = f"{CURL} --cert /etc/kubernetes/pki/admin.crt --key /etc/kubernetes/pki/admin.key"
READ = f"{ADMIN} {URL}/api/v1/namespaces/default"


def invocation(lab: Lab, host: Host) -> str:
    return lab.sh(host, "systemctl show --property=InvocationID api-balancer")


def answers(lab: Lab, host: Host) -> bool:
    return lab.sh(host, f"{CURL} {URL}/readyz") == "ok"


def ready(lab: Lab, host: Host) -> bool:
    """The host's own API server."""
    return lab.sh(host, f"{CURL} https://127.0.0.1:6443/readyz") == "ok"


def test_every_host_reaches_the_api_and_nobody_else_by_its_way(lab: Lab) -> None:
    for host in lab.all:
        assert answers(lab, host)
        refused = host.run(f"curl --silent --insecure https://{lab.address(host)}:7443/readyz")
        assert refused.rc == 7, "it listens where others reach it"


def test_it_has_no_rights_and_takes_nothing_from_the_distributions_own(lab: Lab) -> None:
    for host in lab.all:
        users = {int(user) for user in lab.sh(host, "ps -o uid= -C haproxy").split()}
        # Of those that systemd gives to one service while it runs.
        assert users
        assert users <= set(range(61184, 65520))
        assert not host.service("haproxy").is_running
        assert not host.service("haproxy").is_enabled


@pytest.mark.parametrize("number", [0, 1])
def test_a_server_that_stops_is_not_missed(lab: Lab, number: int) -> None:
    """The one of the caller's host, and another's."""
    caller, victim = lab["control_plane"][0], lab["control_plane"][number]
    with calls(lab, caller, READ, more_than=40) as found:
        time.sleep(1)
        lab.sh(victim, "systemctl stop kube-apiserver")
        time.sleep(3)
        lab.sh(victim, "systemctl start kube-apiserver")
        eventually(lambda: ready(lab, victim), 60, "it is back")
        time.sleep(3)
    assert failed(found) == []


def test_a_server_that_is_killed_costs_its_callers_no_more_than_what_it_was_doing(lab: Lab) -> None:
    caller, victim = lab["control_plane"]
    with calls(lab, caller, READ, more_than=20) as found:
        time.sleep(1)
        lab.sh(victim, "systemctl kill --signal=KILL kube-apiserver")
        eventually(lambda: ready(lab, victim), 60, "systemd starts it again")
        time.sleep(3)
    exits = "journalctl --unit=kube-apiserver --output=short-unix --grep='Main process exited' --lines=1 --quiet"
    gone = float(lab.sh(victim, exits).split()[0])
    # Until then its callers are still let in, by the kernel.
    assert [line for line in failed(found) if float(line.split()[0]) > gone] == []
    assert len(failed(found)) <= 2


def test_a_server_is_taken_in_while_somebody_watches(lab: Lab) -> None:
    first = lab["control_plane"][0]
    only = json.dumps({"api_balancer_servers": {lab.name(first): lab.address(first)}})
    converge(lab, "-e", only)
    before = invocation(lab, first)
    lab.kubectl("delete configmap seen --ignore-not-found")
    watch = f"{ADMIN.replace('--max-time 10', '--no-buffer')} {URL}/api/v1/namespaces/default/configmaps?watch=true"
    with background(lab, first, "watcher", watch) as printed:
        eventually(lambda: lab.sh(first, "systemctl is-active watcher"), 10, "somebody watches")
        converge(lab)
        assert invocation(lab, first) == before, "the balancer was restarted"
        lab.kubectl("create configmap seen")
        eventually(lambda: '"name":"seen"' in printed(), 10, "what is made is seen by who watched before")
        assert lab.sh(first, "systemctl is-active watcher").strip() == "active"
    lab.kubectl("delete configmap seen")
    # The one that was taken in serves by itself.
    lab.sh(first, "systemctl stop kube-apiserver")
    try:
        for host in lab.all:
            assert answers(lab, host)
    finally:
        lab.sh(first, "systemctl start kube-apiserver")
        eventually(lambda: ready(lab, first), 60, "it is back")
