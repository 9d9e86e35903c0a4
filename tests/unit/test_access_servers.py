"""Where there are several API servers, the operator's kubeconfig names one that is well."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from kubeinstall import access
from kubeinstall.certificates import CertificateRequest
from kubeinstall.cluster import Cluster
from kubeinstall.pki import PKI

Start = Callable[..., str]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    hosts = {f"cp{number}": {"node_address": f"192.0.2.{number}"} for number in (1, 2, 3)}
    children = {name: {"hosts": dict.fromkeys(hosts)} for name in ("etcd", "control_plane")}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": children}}))
    return Cluster.load(tmp_path)


@pytest.fixture
def pki(cluster: Cluster) -> PKI:
    made = PKI(cluster.pki_directory)
    made.ensure()
    made.mark_formed({"id": "1"})
    return made


class Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(pki: PKI, folder: Path, status: int) -> Iterator[str]:
    """The URL of what answers a question for its readiness so, with a certificate of that authority."""
    request = CertificateRequest("kubernetes", "kube-apiserver", (), (), ("127.0.0.1",), frozenset({"server"}))
    pair = folder / "server.pem"
    pair.write_text("".join(pki.issue(request)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    handler = type("Handler", (Answer,), {"status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def start(pki: PKI, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda status=200, signer=pki: stack.enter_context(serving(signer, tmp_path, status))


def named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *servers: str) -> str:
    """The server in the operator's kubeconfig, of a cluster with these."""
    monkeypatch.setattr(Cluster, "api_servers", property(lambda _: servers))
    return access.kubeconfig(cluster).server


def test_each_control_plane_is_one_unless_something_stands_before_them(cluster: Cluster) -> None:
    assert cluster.api_balancer == "local"
    assert cluster.api_servers == ("https://192.0.2.1:6443", "https://192.0.2.2:6443", "https://192.0.2.3:6443")
    before = cluster.model_copy(update={"api_server": "https://api.example.org:6443"})
    assert before.api_servers == ("https://api.example.org:6443",)
    direct = cluster.model_copy(update={"api_server": "https://192.0.2.2:6443"})
    assert direct.api_servers[0] == "https://192.0.2.2:6443"
    assert len(direct.api_servers) == 3


def test_the_first_that_is_ready_is_named_and_kept(
    cluster: Cluster, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = PKI(tmp_path / "elsewhere")
    elsewhere.ensure()
    stopping, foreign, well, other = start(500), start(signer=elsewhere), start(), start()
    nobody = "https://127.0.0.1:1"
    assert named(cluster, monkeypatch, stopping, foreign, nobody, well, other) == well
    assert named(cluster, monkeypatch, other, well) == well


def test_another_server_needs_no_other_certificate(
    cluster: Cluster, pki: PKI, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = start()
    with ExitStack() as stack:
        gone = stack.enter_context(serving(pki, cluster.state_directory, 200))
        assert named(cluster, monkeypatch, gone, well) == gone
    before = yaml.safe_load((cluster.state_directory / "kubeconfig").read_text())
    (cluster.pki_directory / "kubernetes" / "ca.key").unlink()
    assert named(cluster, monkeypatch, gone, well) == well
    assert yaml.safe_load((cluster.state_directory / "kubeconfig").read_text())["users"] == before["users"]


def test_where_none_is_ready_the_one_of_before_stays(
    cluster: Cluster, pki: PKI, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "https://127.0.0.1:1"
    with serving(pki, cluster.state_directory, 200) as gone:
        assert named(cluster, monkeypatch, nobody, gone) == gone
    assert named(cluster, monkeypatch, nobody, gone) == gone
