"""What a verification makes of certificates, and how it shows what was found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kubeinstall import verify
from kubeinstall.certificates import CertificateRequest
from kubeinstall.cluster import Host
from kubeinstall.events import Event, Failure, RunResult
from kubeinstall.pki import PKI
from kubeinstall.results import ClusterChecks, ClusterCleanup, HostChecks, NetworkChecks, Result, message

# Later than the authority that a fixture makes, however long the tests before it take.
NOW = datetime.now(UTC) + timedelta(days=1)
SERVER = CertificateRequest("kubernetes", "kubelet", (), ("node1",), ("192.0.2.1",), frozenset({"server"}))
NAMES = {"/pki/kubelet.crt": ["192.0.2.1", "node1"]}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    made = PKI(tmp_path_factory.mktemp("pki"))
    made.ensure()
    return made


def found(pki: PKI, days: int = 365, **changes: Any) -> dict[str, Any]:
    pem, _ = pki.issue(SERVER, now=NOW - timedelta(days=1), days=days)
    authority = {"pem": pki.read("kubernetes/ca.crt"), "pair": None}
    return {"/pki/ca.crt": authority, "/pki/kubelet.crt": {"pem": pem, "pair": True} | changes}


def test_good_certificates(pki: PKI) -> None:
    assert verify.judge_certificates(found(pki), NAMES, now=NOW) == ([], "363 days left")


@pytest.mark.parametrize(
    ("days", "changes", "names", "said"),
    [
        (1, {}, NAMES, "/pki/kubelet.crt expired on"),
        (5, {}, NAMES, "/pki/kubelet.crt ends in 3 days"),
        (365, {"pair": False}, NAMES, "does not belong to the key beside it"),
        (365, {"pem": "nonsense"}, NAMES, "/pki/kubelet.crt is not a certificate"),
        (365, {}, {"/pki/kubelet.crt": ["192.0.2.2"]}, "/pki/kubelet.crt does not carry 192.0.2.2"),
        (365, {}, {"/pki/server.crt": ["192.0.2.1"]}, "/pki/server.crt is missing"),
    ],
)
def test_bad_certificates(pki: PKI, days: int, changes: dict[str, Any], names: dict[str, Any], said: str) -> None:
    (problem,), _ = verify.judge_certificates(found(pki, days, **changes), names, now=NOW)
    assert said in problem


def test_another_authority_and_a_slow_clock(pki: PKI, tmp_path: Path) -> None:
    other = PKI(tmp_path / "pki")
    other.ensure()
    seen = found(pki) | {"/pki/ca.crt": {"pem": other.read("kubernetes/ca.crt"), "pair": None}}
    (problem,), _ = verify.judge_certificates(seen, NAMES, now=NOW)
    assert "signed by no authority that this host knows" in problem
    problems, _ = verify.judge_certificates(found(pki), NAMES, now=NOW - timedelta(days=2))
    assert any("is the host's clock right?" in problem for problem in problems)


def event(kind: type[Result], host: str, *checks: tuple[str, str, list[str], str]) -> Event:
    keys = ("check", "host", "problems", "detail")
    told = message(kind, checks=[dict(zip(keys, check, strict=True)) for check in checks])
    return Event("ok", 0.0, host=host, result=told)


def node(name: str) -> Host:
    return Host(name=name, address="192.0.2.1", groups=("node",), container_engine="containerd")


def made(*hosts: str) -> tuple[Event, ...]:
    """All checks of nodes on which nothing is wrong."""
    network = ("pods", "ClusterIP", "NodePort", "DNS")
    own = [check for check in verify.expected(node("")) if check not in (*network, "node")]
    events = [event(HostChecks, host, *((check, host, [], "") for check in own)) for host in hosts]
    events += [event(NetworkChecks, host, *((check, host, [], "") for check in network)) for host in hosts]
    cluster = event(ClusterChecks, hosts[0], *(("node", host, [], "") for host in hosts))
    return (*events, cluster, event(ClusterCleanup, hosts[0]))


def result(*events: Event, failures: tuple[Failure, ...] = ()) -> RunResult:
    return RunResult("failed" if failures else "ok", {}, failures, events, 1.0, Path())


def shown(found: verify.Verification, width: int = 100) -> str:
    text = StringIO()
    verify.show(Console(file=text, width=width), found)
    return text.getvalue()


def test_one_table_of_all_that_was_looked_at() -> None:
    kubelet: tuple[str, str, list[str], str] = ("kubelet", "a", [], "")
    events = (
        *made("a", "b"),
        event(
            NetworkChecks,
            "b",
            ("pods", "b", ["one"], ""),
            *((check, "b", [], "") for check in ("ClusterIP", "NodePort", "DNS")),
        ),
        event(HostChecks, "a", kubelet, kubelet, ("certificates", "a", [], "9 days left")),
        event(ClusterChecks, "a", ("pods", "b", ["one", "two"], ""), ("node", "a", [], ""), ("node", "b", [], "")),
    )
    verdict = Failure("pods: one\npods: two", "b", "Report the problems")
    dead = Failure("ssh: no route", "c", "Look", unreachable=True)
    read = verify.read(result(*events, failures=(verdict, dead)), [node(name) for name in ("a", "b", "c")])
    assert read.problems == [
        "b: pods: one",
        "b: pods: two",
        "c: ssh: no route",
        "a: not checked: container engine, kube-proxy, flannel. See the run log in .",
    ]
    lines = shown(read).splitlines()
    assert lines[0].split() == ["a", "b", "c"]
    assert [line.split()[0] for line in lines[1:3]] == ["container", "kubelet"]


def test_many_hosts_are_counted() -> None:
    hosts = [f"host-{number:03}" for number in range(100)]
    checks = [("pods", host, ["none"] if number < 9 else [], "") for number, host in enumerate(hosts)]
    events = (*made(*hosts), event(ClusterChecks, hosts[0], *checks))
    text = shown(verify.read(result(*events), [node(host) for host in hosts]))
    assert "9 of 100 wrong: host-000, host-001" in " ".join(text.split())
