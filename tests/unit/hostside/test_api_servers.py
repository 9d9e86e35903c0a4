"""Of several API servers the first that is ready serves, and another one when that is lost."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import api as module
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API, UnreachableError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI

NOBODY = "https://127.0.0.1:1"


class Server(http.server.ThreadingHTTPServer):
    """Answers with its own URL while it is well, and otherwise that it is not ready."""

    daemon_threads = True

    def __init__(self, pki: PKI, folder: Path, state: str = "well") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state, self.asked = state, list[str]()
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        request = CertificateRequest("kubernetes", "kube-apiserver", (), (), ("127.0.0.1",), frozenset({"server"}))
        pair = folder / f"{self.server_address[1]}.pem"
        pair.write_text("".join(pki.issue(request)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: Any) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        ready = self.server.state == "well"
        status = 200 if ready else 500 if self.path == "/readyz" else 503
        body = json.dumps({"by": self.server.url} if ready else {"message": "not yet"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Control:
    """Starts servers of one authority, and clients of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.pki = PKI(folder / "pki")
        self.pki.ensure()
        pair = self.pki.issue(CertificateRequest("kubernetes", "admin", (), (), (), frozenset({"client"})))
        for name, text in zip(("admin.crt", "admin.key"), pair, strict=True):
            (folder / name).write_text(text)

    def server(self, state: str = "well", pki: PKI | None = None) -> Server:
        return self.stack.enter_context(serving(pki or self.pki, self.folder, state))

    def api(self, *servers: str, patience: float = 5) -> API:
        certificate, key = (str(self.folder / name) for name in ("admin.crt", "admin.key"))
        authority = str(self.folder / "pki/kubernetes/ca.crt")
        api = API(servers[0], authority, certificate, key, others=servers[1:], patience=patience)
        self.stack.enter_context(closing(api))
        return api


@contextmanager
def serving(pki: PKI, folder: Path, state: str) -> Iterator[Server]:
    with Server(pki, folder, state) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with ExitStack() as stack:
        yield Control(tmp_path, stack)


@pytest.fixture
def foreign(tmp_path: Path) -> PKI:
    pki = PKI(tmp_path / "elsewhere")
    pki.ensure()
    return pki


def test_the_first_that_is_ready_serves(control: Control, foreign: PKI) -> None:
    starting, stranger = control.server("starting"), control.server(pki=foreign)
    well, other = control.server(), control.server()
    api = control.api(NOBODY, starting.url, stranger.url, well.url, other.url)
    assert api.request("GET", "/version") == {"by": well.url}
    assert api.request("GET", "/api") == {"by": well.url}
    assert (well.asked, other.asked) == (["/readyz", "/version", "/api"], [])
    assert (starting.asked, stranger.asked) == (["/readyz"], [])


def test_its_own_serves_while_it_is_ready(control: Control) -> None:
    own, other = control.server(), control.server()
    assert control.api(own.url, other.url).request("GET", "/version") == {"by": own.url}
    assert other.asked == []


def test_one_that_accepts_and_says_nothing_is_passed_over(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHOOSING", 0.2)
    well = control.server()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = control.api(f"https://127.0.0.1:{silent.getsockname()[1]}", well.url)
        assert api.request("GET", "/version") == {"by": well.url}


def test_another_takes_over_from_one_that_is_lost(control: Control) -> None:
    first, second = control.server(), control.server()
    api = control.api(first.url, second.url)
    assert api.request("GET", "/version") == {"by": first.url}
    first.state = "stopping"
    assert api.request("GET", "/version") == {"by": second.url}
    first.state = "well"
    assert api.request("GET", "/version") == {"by": second.url}
    second.state = "stopping"
    assert api.request("GET", "/version") == {"by": first.url}


def test_one_that_becomes_ready_meanwhile_serves(control: Control) -> None:
    starting = control.server("starting")
    api = control.api(NOBODY, starting.url)
    timer = threading.Timer(0.5, setattr, (starting, "state", "well"))
    timer.start()
    assert api.request("GET", "/version") == {"by": starting.url}


def test_where_none_is_ready_all_are_named(control: Control, foreign: PKI) -> None:
    starting, stranger = control.server("starting"), control.server(pki=foreign)
    with pytest.raises(UnreachableError) as failure:
        control.api(NOBODY, starting.url, patience=0.1).request("GET", "/version")
    assert f"none of the API servers {NOBODY}, {starting.url} answered within 0 s: [Errno 111]" in str(failure.value)
    with pytest.raises(HostError, match="is not the API server it should be"):
        control.api(stranger.url, NOBODY, patience=0.1).request("GET", "/version")


def test_a_single_one_is_not_asked_whether_it_is_ready(control: Control, foreign: PKI) -> None:
    server = control.server()
    assert control.api(server.url).request("GET", "/version") == {"by": server.url}
    assert server.asked == ["/version"]
    with pytest.raises(UnreachableError, match=f"the API server at {NOBODY} did not answer within 0 s"):
        control.api(NOBODY, patience=0.1).request("GET", "/version")
    with pytest.raises(HostError, match="is not the API server it should be"):
        control.api(control.server(pki=foreign).url).request("GET", "/version")


def test_one_that_says_nothing_is_given_up_when_its_time_is_over(control: Control) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="did not answer within 1 s"):
            control.api(url, patience=1).request("GET", "/version")
    assert time.monotonic() - began < 10
