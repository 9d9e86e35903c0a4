"""Whoever calls the API by its address reaches a control plane that is well, whatever becomes of the others."""

from __future__ import annotations

import ipaddress
import json
import time
from itertools import pairwise

import pytest
from testinfra.host import Host

from tests.callers import background, calls, failed
from tests.lab import Lab, converge, eventually

PKI = "/etc/kubernetes/pki"
FILES = ("ca.crt", "admin.crt", "admin.key")
# How long a program waits for an answer; a watcher waits for more of it.
WHOLE, STREAM = "--max-time 10", "--no-buffer --max-time 3600"


@pytest.fixture(scope="module")
def address(lab: Lab) -> str:
    network = ipaddress.ip_network(f"{lab.address(lab.all[0])}/24", strict=False)
    return str(network[254])


@pytest.fixture(scope="module")
def caller(lab: Lab) -> Host:
    """A host that is no control plane, with what it takes to read."""
    (node,) = lab["node"]
    lab.sh(node, f"mkdir -p {PKI}")
    for file in FILES:
        text = lab.sh(lab["control_plane"][0], f"cat {PKI}/{file}")
        lab.sh(node, f"umask 077; cat >{PKI}/{file} <<'END'\n{text}END")
    return node


def curl(address: str, path: str = "/api/v1/namespaces/default", ends: str = WHOLE) -> str:
    files = " ".join(f"{flag} {PKI}/{file}" for flag, file in zip(("--cacert", "--cert", "--key"), FILES, strict=True))
    return f"curl --silent --fail {ends} {files} https://{address}:6443{path}"


def holders(lab: Lab, address: str) -> list[Host]:
    return [host for host in lab["control_plane"] if lab.sh(host, f"ip -oneline address show to {address}/32")]


def holder(lab: Lab, address: str) -> Host:
    found = eventually(lambda: len(has := holders(lab, address)) == 1 and has, 20, "one host has the address")
    assert found
    return found[0]


def ready(host: Host) -> bool:
    """The host's own API server."""
    return bool(host.run(curl("127.0.0.1", "/readyz")).stdout == "ok")


def watches(host: Host) -> bool:
    return bool(host.run("systemctl is-active --quiet watcher").rc == 0)


def longest_gap(found: list[str]) -> float:
    """Seconds between the beginnings of two calls, both of which were answered."""
    times = [float(line.split()[0]) for line in found if line.endswith(" read")]
    return max(after - before for before, after in pairwise(times))


def test_one_control_plane_has_it_and_every_host_reaches_the_api_by_it(lab: Lab, address: str, caller: Host) -> None:
    holder(lab, address)
    for host in (caller, *lab["control_plane"]):
        assert lab.sh(host, curl(address, "/readyz")) == "ok"
    for host in lab["control_plane"]:
        assert not host.service("keepalived").is_running
        assert not host.service("keepalived").is_enabled


def test_it_moves_before_the_api_server_stops_and_stays_there(lab: Lab, address: str, caller: Host) -> None:
    first = holder(lab, address)
    (second,) = [host for host in lab["control_plane"] if host is not first]
    watch = curl(address, "/api/v1/namespaces?watch=true", STREAM)
    with (
        # By the address to another host, and to the host's own.
        background(lab, second, "watcher", watch),
        background(lab, first, "watcher", watch),
        calls(lab, caller, curl(address), more_than=40) as found,
    ):
        time.sleep(1)
        lab.sh(first, "systemctl stop --no-block kube-apiserver")
        eventually(lambda: holders(lab, address) == [second], 5, "the other control plane has it")
        # It would have served them for five more seconds: it is the address that is gone.
        assert lab.sh(first, "systemctl is-active kube-apiserver || true").strip() == "deactivating"
        eventually(lambda: not any(watches(host) for host in (first, second)), 3, "who watched knows")
        lab.sh(first, "systemctl start kube-apiserver")
        eventually(lambda: ready(first), 60, "it is back")
        time.sleep(5)
    assert holders(lab, address) == [second]
    # What was under way when it moved.
    assert len(failed(found)) <= 1, failed(found)
    assert longest_gap(found) < 4, found


def test_it_moves_when_the_api_server_is_killed(lab: Lab, address: str, caller: Host) -> None:
    first = holder(lab, address)
    with calls(lab, caller, curl(address)) as found:
        time.sleep(1)
        lab.sh(first, "systemctl kill --signal=KILL kube-apiserver")
        eventually(lambda: first not in holders(lab, address), 5, "it has left")
        eventually(lambda: ready(first), 60, "systemd starts it again")
        time.sleep(3)
    assert longest_gap(found) < 5, found
    assert holder(lab, address) is not first


def test_it_is_nowhere_twice_after_keepalived_was_killed(lab: Lab, address: str, caller: Host) -> None:
    first = holder(lab, address)
    lab.sh(first, "systemctl kill --signal=KILL api-vip")
    eventually(lambda: first.service("api-vip").is_running, 20, "systemd starts it again")
    time.sleep(5)
    holder(lab, address)
    assert lab.sh(caller, curl(address, "/readyz")) == "ok"


def test_it_stays_where_it_is_when_a_control_plane_is_taken_in(lab: Lab, address: str, caller: Host) -> None:
    first = holder(lab, address)
    before = lab.sh(first, "systemctl show --property=InvocationID api-vip")
    another = f"{address.rpartition('.')[0]}.253"
    with calls(lab, caller, curl(address)) as found:
        converge(lab, "-e", json.dumps({"api_vip_peers": f"{{{{ kube_apiserver_peers + ['{another}'] }}}}"}))
        assert another in lab.sh(first, "cat /etc/api-vip/keepalived.conf")
        time.sleep(5)
        converge(lab)
        time.sleep(5)
    assert failed(found) == []
    assert holders(lab, address) == [first]
    assert lab.sh(first, "systemctl show --property=InvocationID api-vip") == before
