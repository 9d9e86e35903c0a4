"""Whether a service can be spared for a moment: three real members of etcd, and peers on loopback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import etcd, spare
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.lab import eventually
from tests.unit.hostside.conftest import free_ports, program, running

NAMES = ("one", "two", "three")


class Members(NamedTuple):
    """Three members whose first is the host's own."""

    host: Host
    processes: dict[str, Popen[bytes]]
    ready: dict[str, str]


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    binary, tool = program("etcd"), program("etcdctl")
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    root = tmp_path / "root"
    folder = root / "etc/etcd/pki"
    folder.mkdir(parents=True)
    pki = PKI(tmp_path / "pki")
    pki.ensure()
    usages = frozenset({"server", "client"})
    certificate, key = pki.issue(CertificateRequest("etcd", "member", (), (), ("127.0.0.1",), usages))
    (folder / "healthcheck-client.crt").write_text(certificate)
    (folder / "healthcheck-client.key").write_text(key)
    (folder / "ca.crt").write_text(pki.read("etcd/ca.crt"))
    ports = free_ports(9)
    client, peer, health = (dict(zip(NAMES, ports[start : start + 3], strict=True)) for start in (0, 3, 6))
    monkeypatch.setattr(etcd, "LOCAL", f"https://127.0.0.1:{client['one']}")
    with ExitStack() as stack:
        processes = {}
        for name in NAMES:
            command: list[str | Path] = [
                binary,
                f"--name={name}",
                f"--data-dir={tmp_path / name}",
                "--unsafe-no-fsync",
                f"--listen-client-urls=https://127.0.0.1:{client[name]}",
                f"--advertise-client-urls=https://127.0.0.1:{client[name]}",
                f"--listen-peer-urls=http://127.0.0.1:{peer[name]}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer[name]}",
                f"--listen-metrics-urls=http://127.0.0.1:{health[name]}",
                "--initial-cluster=" + ",".join(f"{other}=http://127.0.0.1:{peer[other]}" for other in NAMES),
                f"--cert-file={folder / 'healthcheck-client.crt'}",
                f"--key-file={folder / 'healthcheck-client.key'}",
                "--client-cert-auth",
                f"--trusted-ca-file={folder / 'ca.crt'}",
            ]
            processes[name] = stack.enter_context(running(tmp_path / f"{name}.log", *command))
        ready = {"url": f"http://127.0.0.1:{health['one']}/readyz"}
        found = Members(Host(str(root)), processes, ready)
        eventually(lambda: spare.unfulfilled(found.host, ready) is None, 30, "the members form a cluster")
        eventually(lambda: len([m for m in etcd.members(found.host) if m.name]) == 3, 30, "all have started")
        yield found


def test_one_of_three_healthy_members_can_be_spared_and_none_of_two(members: Members) -> None:
    spare.check_spare(members.host, {"etcd_member": "one"}, members.ready)
    members.processes["three"].kill()
    members.processes["three"].wait()
    # It may have been the leader: until there is another one, the others do no work that a restart would cost.
    eventually(lambda: spare.unfulfilled(members.host, members.ready) is None, 30, "the other two go on")
    with pytest.raises(
        HostError, match=r"without one etcd would have no quorum: of its 3 members 2 are needed.*three: "
    ):
        spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 0)
    # Who does not answer does no work: to start it anew costs nobody anything.
    etcd.spare(members.host, "three", lambda: True, 0)


def test_a_member_that_is_not_ready_for_a_moment_is_needed_all_the_same(members: Members) -> None:
    members.processes["three"].kill()
    members.processes["three"].wait()
    eventually(lambda: spare.unfulfilled(members.host, members.ready) is None, 30, "the other two go on")
    (closed,) = free_ports(1)
    never = {"url": f"http://127.0.0.1:{closed}/readyz"}
    with pytest.raises(HostError, match="without one etcd would have no quorum"):
        spare.check_spare(members.host, {"etcd_member": "one"}, never, 0)
    # Without any other it still has data, and may be the one that has the newest.
    members.processes["two"].kill()
    members.processes["two"].wait()
    eventually(lambda: spare.unfulfilled(members.host, members.ready) is not None, 30, "the quorum is gone")
    with pytest.raises(HostError, match=r"etcd has no quorum, and one has data .*stop etcd on one, and run"):
        spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 0)
    members.processes["one"].kill()
    members.processes["one"].wait()
    spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 0)


def test_others_that_are_away_for_a_moment_are_waited_for(members: Members) -> None:
    members.processes["three"].send_signal(signal.SIGSTOP)
    timer = threading.Timer(8, members.processes["three"].send_signal, [signal.SIGCONT])
    timer.start()
    try:
        spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 60)
        assert not timer.is_alive()
    finally:
        timer.join()


def test_an_expired_certificate_of_its_own_is_no_sign_that_others_are_unhealthy(members: Members) -> None:
    folder, pki = Path(members.host.path("/etc/etcd/pki")), PKI(Path(members.host.root).parent / "pki")
    usages = frozenset({"server", "client"})
    request = CertificateRequest("etcd", "member", (), (), ("127.0.0.1",), usages)

    def put(now: datetime) -> None:
        certificate, key = pki.issue(request, now=now)
        (folder / "healthcheck-client.crt").write_text(certificate)
        (folder / "healthcheck-client.key").write_text(key)

    put(datetime.now(UTC) - timedelta(days=366))
    assert spare.unfulfilled(members.host, members.ready) is None
    with pytest.raises(HostError, match=r"healthcheck-client\.crt has expired.*kubeinstall certs renew"):
        spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 0)
    # The same processes read the new pair.
    put(datetime.now(UTC))
    spare.check_spare(members.host, {"etcd_member": "one"}, members.ready, 0)
    assert [process.poll() for process in members.processes.values()] == [None] * 3


def test_a_member_of_another_cluster_is_refused_also_without_a_quorum(members: Members) -> None:
    wanted = f"{etcd.etcdctl(members.host, 'member', 'list')['header']['cluster_id']:x}"
    for name in ("two", "three"):
        members.processes[name].kill()
        members.processes[name].wait()
    etcd.refuse_another(members.host, ["12ab", wanted])
    with pytest.raises(
        HostError, match=f"belongs to the cluster {wanted}, and formed.json in the PKI directory has 12ab"
    ):
        etcd.refuse_another(members.host, ["12ab"])
    members.processes["one"].kill()
    members.processes["one"].wait()
    etcd.refuse_another(members.host, ["12ab"])


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def peer() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_one_peer_that_is_ready_is_enough() -> None:
    (closed,) = free_ports(1)
    host = Host()
    with peer() as url:
        ready = {"url": f"{url}/readyz"}
        spare.check_spare(host, {"peers": [f"http://127.0.0.1:{closed}/readyz", f"{url}/readyz"]}, ready)
        spare.check_spare(host, {}, ready)
        with pytest.raises(HostError, match=r"nobody would do its work .*Connection refused.* answers 500"):
            spare.check_spare(host, {"peers": [f"http://127.0.0.1:{closed}/", f"{url}/not-ready"]}, ready, 0)
        # A service that is not ready itself is restarted in any case.
        spare.check_spare(host, {"peers": [f"{url}/not-ready"]}, {"url": f"{url}/not-ready"})
