"""What a host tries of the network, on loopback: an HTTP service, a DNS server, another network namespace, an etcd."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import network_probe as probe


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"OK" if self.path == "/health" else b"no")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def health() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def name_server(names: dict[str, str], code: int = 0) -> Iterator[int]:
    """A DNS server that answers every question for an A record, with a CNAME before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    message, client = server.recvfrom(512)
                    server.sendto(_answer(message, names, code), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join()


def _answer(message: bytes, names: dict[str, str], code: int) -> bytes:
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += message[at] + 1
    address = names.get(".".join(labels))
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 5, 4) + b"\x01x\xc0\x0c"
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(address) if address else b""
    head = message[:2] + struct.pack(">HHHHH", 0x8400 | code, 1, 2 if address else 0, 0, 0)
    return head + message[12 : at + 5] + (alias + record if address else b"")


def test_healthy(health: int) -> None:
    probe.healthy("127.0.0.1", health)()
    with pytest.raises(OSError, match="refused"):
        probe.healthy("127.0.0.1", 1)()


def test_addresses_of() -> None:
    with name_server({"a.svc.cluster.local": "10.96.0.1"}) as port:
        assert probe.addresses_of("127.0.0.1", "a.svc.cluster.local", port) == ["10.96.0.1"]
        assert probe.addresses_of("127.0.0.1", "b.svc.cluster.local.", port) == []
        probe.resolves("127.0.0.1", "a.svc.cluster.local", "10.96.0.1", port)()
        with pytest.raises(ValueError, match=r"is 10\.96\.0\.1, and should be 10\.96\.0\.2"):
            probe.resolves("127.0.0.1", "a.svc.cluster.local", "10.96.0.2", port)()
        with pytest.raises(ValueError, match="is unknown"):
            probe.resolves("127.0.0.1", "b.svc.cluster.local", "10.96.0.2", port)()
    with name_server({}, code=2) as port, pytest.raises(ValueError, match="code 2"):
        probe.addresses_of("127.0.0.1", "a", port)
    with pytest.raises(OSError, match="refused"):
        probe.addresses_of("127.0.0.1", "a", 1)


def test_all_attempts_are_made_and_repeated_until_time_is_over(health: int) -> None:
    begun = time.monotonic()
    late: list[int] = []

    def after_a_while() -> None:
        late.append(1)
        if len(late) < 4:
            raise OSError("not yet")

    attempts = {
        "pods": [("the pod on a", probe.healthy("127.0.0.1", health)), ("the pod on b", probe.healthy("127.0.0.1", 1))],
        "DNS": [("the name", after_a_while)],
    }
    found = probe._tried(0.6, "from here", attempts)
    assert found["DNS"] == []
    (problem,) = found["pods"]
    assert problem.startswith("from here, the pod on b does not answer: [Errno 111]")
    assert time.monotonic() - begun < 3


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another network namespace with the address 192.0.2.7, kept as container engines keep theirs."""
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    kept = tmp_path / "cni-1"
    kept.touch()
    (tmp_path / "cni-0").write_text("no namespace")
    setup = "ip link set lo up && ip address add 192.0.2.7/32 dev lo"
    made = subprocess.run(["unshare", f"--net={kept}", "sh", "-c", setup], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    monkeypatch.setattr(probe, "NAMESPACES", (str(tmp_path),))
    yield kept
    subprocess.run(["umount", str(kept)], check=True)


def test_network_namespaces(namespace: Path) -> None:
    assert probe.network_namespace_of("192.0.2.7") == str(namespace)
    assert probe.network_namespace_of("192.0.2.8") is None

    def serves() -> bool:
        with socket.create_server(("192.0.2.7", 0)) as server, socket.create_connection(server.getsockname()[:2], 2):
            return True

    assert probe.inside(str(namespace), serves)
    with pytest.raises(OSError, match="assign requested address"):
        serves()
    with pytest.raises(ValueError, match="of its own"):
        probe.inside(str(namespace), lambda: (_ for _ in ()).throw(ValueError("of its own")).__next__())


def test_a_node_is_tried_from_both_its_networks(health: int, namespace: Path) -> None:
    answered = {"a": {"address": "127.0.0.1", "pod": "192.0.2.7"}}
    with name_server({"one": "10.0.0.1"}) as port:
        spec: dict[str, Any] = {
            "node": "a",
            "address": "127.0.0.2",
            "nodes": answered,
            "cluster_ip": "127.0.0.1",
            "node_port": health,
            "port": health,
            "dns": {"server": "127.0.0.1", "names": {"one": "10.0.0.1"}},
            "seconds": 0.1,
            "etcd": None,
        }
        checks = {one["check"]: one["problems"] for one in probe.main(spec)["checks"]}
    assert port
    assert checks["NodePort"] == []
    assert "the API knows this node by 127.0.0.1, the inventory by 127.0.0.2" in checks["pods"]
    assert any(one.startswith("from a pod on this host, the pod on a (192.0.2.7)") for one in checks["pods"])
    assert any(one.startswith("from this host, ClusterIP 127.0.0.1 does not answer") for one in checks["ClusterIP"])
    assert probe.main(spec | {"node": ""})["checks"] == []
