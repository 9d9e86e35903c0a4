"""Three members are one store: of each other, and without one of them."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from tests.lab import Lab, eventually

ETCDCTL = "etcdctl --cacert=/etc/etcd/pki/ca.crt --dial-timeout=3s --command-timeout=5s"
CERTIFICATE = "--cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"


def etcdctl(lab: Lab, host: Host, command: str) -> str:
    """What this member answers."""
    done = host.run(f"{ETCDCTL} {CERTIFICATE} {command}")
    assert done.rc == 0, f"{lab.name(host)} does not answer to `{command}`: {done.stderr.strip().splitlines()[-1]}"
    return str(done.stdout).strip()


def statuses(lab: Lab, host: Host) -> list[dict[str, Any]]:
    return list(json.loads(etcdctl(lab, host, "endpoint status --cluster --write-out=json")))


def test_all_are_members_of_one_cluster(lab: Lab) -> None:
    found = [status["Status"] for status in statuses(lab, lab["etcd"][0])]
    assert len(found) == 3
    assert len({status["header"]["cluster_id"] for status in found}) == 1
    assert len({status["leader"] for status in found}) == 1


def test_what_one_is_told_the_others_know(lab: Lab) -> None:
    first, *others = lab["etcd"]
    etcdctl(lab, first, "put greeting hello")
    assert [etcdctl(lab, host, "get greeting --print-value-only") for host in others] == ["hello"] * 2


def test_a_killed_leader_is_not_missed_and_comes_back(lab: Lab) -> None:
    (leader,) = [
        status["Endpoint"]
        for status in statuses(lab, lab["etcd"][0])
        if status["Status"]["leader"] == status["Status"]["header"]["member_id"]
    ]
    (victim,) = [host for host in lab["etcd"] if f"//{lab.address(host)}:" in leader]
    one, other = [host for host in lab["etcd"] if host is not victim]
    lab.sh(victim, "systemctl kill --signal=KILL etcd")
    eventually(lambda: etcdctl(lab, one, "put greeting again"), 20, "two of three take a value")
    assert etcdctl(lab, other, "get greeting --print-value-only") == "again"
    # systemd starts it again, and it learns what it missed.
    eventually(lambda: etcdctl(lab, victim, "get greeting --print-value-only") == "again", 30, "the third is back")


def test_who_shows_no_certificate_learns_nothing(lab: Lab) -> None:
    host = lab["etcd"][0]
    etcdctl(lab, host, "put secret swordfish")
    assert etcdctl(lab, host, "get secret --print-value-only") == "swordfish"
    refused = host.run(f"{ETCDCTL} get secret")
    assert refused.rc != 0
    assert "swordfish" not in refused.stdout
