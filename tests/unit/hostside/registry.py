"""A registry that speaks TLS by an authority of its own, with users or with tokens, and a proxy; both on loopback."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI

__all__ = ["PASSWORD", "USER", "Proxy", "authority_in", "registry", "serving"]

USER, PASSWORD = "kube", "pass:wörd"


class Registry(BaseHTTPRequestHandler):
    """/v2/ asks for a user, or for a token of /token where the server has `tokens`; /token asks for a user."""

    def do_GET(self) -> None:
        right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = self.headers.get("Authorization") == f"Basic {right}"
        path, _, query = self.path.partition("?")
        server: Any = self.server
        if path == "/token":
            server.asked.append(query)
            self.answer(200 if known else server.refusal)
        elif server.tokens:
            realm = f'Bearer realm="{server.tokens}/token",service="here, or there"'
            self.answer(401, realm)
        else:
            self.answer(server.status if known else 401, 'Basic realm="here"')

    def answer(self, status: int, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Proxy(BaseHTTPRequestHandler):
    """CONNECT, and nothing else."""

    def do_CONNECT(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            while ready := select.select([self.connection, other], [], [], 5)[0]:
                for one in ready:
                    if not (data := one.recv(65536)):
                        return
                    (other if one is self.connection else self.connection).sendall(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None, **more: Any) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    vars(server).update({"asked": [], **more})
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def authority_in(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A new authority's certificate, and what a server of it needs."""
    pki = PKI(folder / "pki")
    pki.ensure()
    request = CertificateRequest("kubernetes", "registry", (), ("localhost",), ("127.0.0.1",), frozenset({"server"}))
    certificate, key = pki.issue(request)
    (folder / "server.crt").write_text(certificate)
    (folder / "server.key").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return Path(folder / "pki/kubernetes/ca.crt").read_text(), context


@contextmanager
def registry(context: ssl.SSLContext, **more: Any) -> Iterator[tuple[str, Any]]:
    with serving(Registry, context, **{"tokens": "", "status": 200, "refusal": 401, **more}) as server:
        yield f"127.0.0.1:{server.server_address[1]}", server
