"""A way to the API through SSH: a real sshd on loopback, before something that answers as an API server does."""

from __future__ import annotations

import getpass
import http.server
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from kubeinstall import access, forward
from kubeinstall.certificates import CertificateRequest
from kubeinstall.cluster import Cluster
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI
from tests.sshd import Sshd, by_ssh
from tests.unit.hostside.conftest import program

ADDRESS = "192.0.2.1"
# The command against something that listens elsewhere than an API server does.
COMMAND = """\
import sys
from kubeinstall import access, forward
access.SECONDS, forward.API_PORT = 0.2, int(sys.argv.pop(1))
from kubeinstall.cli import main
main()
"""

Inventory = Callable[..., Path]


class Answer(http.server.BaseHTTPRequestHandler):
    """Ready, as far as it was not told otherwise; a question for anything slow is not answered in our time."""

    status = 200
    port: int
    asked: threading.Event

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.asked.set()
            time.sleep(60)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    made = PKI(tmp_path / "inventory" / ".kubeinstall" / "pki")
    made.ensure()
    made.mark_formed({"id": "1"})
    return made


@pytest.fixture
def api(pki: PKI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answer]]:
    """On loopback, with the certificate of a control plane whose address is on no network."""
    request = CertificateRequest("kubernetes", "kube-apiserver", (), (), (ADDRESS,), frozenset({"server"}))
    pair = tmp_path / "server.pem"
    pair.write_text("".join(pki.issue(request)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    handler: type[Answer] = type("Handler", (Answer,), {"asked": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.port = server.server_address[1]
        monkeypatch.setattr(forward, "API_PORT", handler.port)
        monkeypatch.setattr(access, "SECONDS", 0.2)
        yield handler
        server.shutdown()


@pytest.fixture
def inventory(tmp_path: Path, pki: PKI) -> Inventory:
    """Writes one of a single host, with these variables of its connection."""

    def write(**variables: Any) -> Path:
        groups = {name: {"hosts": {"cp1": None}} for name in ("etcd", "control_plane")}
        host = {"node_address": ADDRESS, **variables}
        path = tmp_path / "inventory" / "hosts.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": {"cp1": host}, "children": groups}}))
        return path.parent

    return write


def refused(path: Path) -> str:
    with pytest.raises(KubeinstallError) as error, access.way(Cluster.load(path), path):
        pytest.fail("there is a way")
    return str(error.value)


def test_a_port_leads_to_the_api_server_while_it_is_needed(api: type[Answer], sshd: Sshd, inventory: Inventory) -> None:
    path = inventory(**by_ssh(sshd))
    with sshd.running(), access.way(Cluster.load(path), path) as way:
        assert way.through == "cp1"
        assert way.config.stat().st_mode & 0o777 == 0o600
        target = yaml.safe_load(way.config.read_text())["clusters"][0]["cluster"]
        assert target["tls-server-name"] == ADDRESS
        host, _, port = target["server"].removeprefix("https://").partition(":")
        socket.create_connection((host, int(port)), 5).close()
    assert host == "127.0.0.1"
    assert not way.config.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)
    # The operator's own goes on naming the control plane itself.
    assert access.kubeconfig(Cluster.load(path)).server == f"https://{ADDRESS}:6443"


def test_a_jump_host_is_gone_through(api: type[Answer], sshd: Sshd, inventory: Inventory) -> None:
    key = sshd.folder / "user"
    jump = f"ssh -i {key} {sshd.arguments} -p {sshd.port} -W %h:%p {getpass.getuser()}@127.0.0.1"
    path = inventory(**by_ssh(sshd, ansible_ssh_common_args=f'{sshd.arguments} -o ProxyCommand="{jump}"'))
    with sshd.running(), access.way(Cluster.load(path), path) as way:
        assert way.through == "cp1"
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 2


def test_why_there_is_none_is_told(
    api: type[Answer], sshd: Sshd, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = inventory(**by_ssh(sshd))
    said = f"no API server of the cluster kubernetes answers this machine at https://{ADDRESS}:6443, nor through SSH: "
    assert refused(path).startswith(f"{said}cp1: ssh: connect to host 127.0.0.1 port")
    with sshd.running("AllowTcpForwarding no"):
        assert "cp1: its API server is not ready (" in refused(path)
        assert "administratively prohibited" in refused(path)
    with sshd.running():
        api.status = 500
        assert "cp1: its API server is not ready (500)" in refused(path)
        api.status = 200
        (sshd.folder / "authorized").write_text("")
        assert "Permission denied (publickey" in refused(path)
        (sshd.folder / "known").write_text("")
        assert "Host key verification failed" in refused(path)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ansible_connection": "local"}, "cp1: it is reached by the connection local, and only ssh forwards a port"),
        ({"ansible_password": "secret"}, "cp1: it is reached with a password, which only a run can type"),
    ],
)
def test_a_host_that_is_reached_otherwise(
    api: type[Answer], inventory: Inventory, variables: dict[str, str], sentence: str
) -> None:
    said = refused(inventory(**variables))
    assert sentence in said
    assert "secret" not in said


def test_an_api_server_that_answers_is_gone_to_without_ssh(
    api: type[Answer], inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = inventory(ansible_connection="local")
    for status in (200, 500):
        monkeypatch.setattr(access, "_asked", lambda *_, status=status: (status, ""))
        with access.way(Cluster.load(path), path) as way:
            assert not way.through
    # Behind a proxy of the environment's, kubectl alone can tell.
    monkeypatch.setattr(access, "_asked", lambda *_: (0, "no route"))
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.9:3128")
    with access.way(Cluster.load(path), path) as way:
        assert not way.through


@pytest.fixture
def kubectl(api: type[Answer], sshd: Sshd, inventory: Inventory) -> Iterator[list[str]]:
    """The command, whose kubectl can reach its API through SSH alone."""
    program("kubectl")
    path = inventory(**by_ssh(sshd))
    with sshd.running():
        yield [sys.executable, "-c", COMMAND, str(api.port), "kubectl", "-i", str(path)]


def forwards(api: type[Answer]) -> list[str]:
    """The ssh processes that forward to this API."""
    found = subprocess.run(
        ["pgrep", "--full", f"^ssh .*:127.0.0.1:{api.port}( |$)"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_kubectl_goes_through_it_and_says_so(kubectl: list[str], api: type[Answer]) -> None:
    done = subprocess.run([*kubectl, "get", "--raw", "/hello"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert done.stderr == "No API server answers this machine itself: going through SSH to cp1\n"
    done = subprocess.run([*kubectl, "no-such-word"], capture_output=True, text=True, check=False)
    assert (done.returncode, "unknown command" in done.stderr) == (1, True)
    assert forwards(api) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_with_the_command(kubectl: list[str], api: type[Answer], number: int) -> None:
    with subprocess.Popen([*kubectl, "get", "--raw", "/slow"], stderr=subprocess.PIPE) as process:
        assert api.asked.wait(30)
        assert len(forwards(api)) == 1
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert forwards(api) == []


def test_it_ends_with_ctrl_c(kubectl: list[str], api: type[Answer]) -> None:
    child = pexpect.spawn(kubectl[0], [*kubectl[1:], "get", "--raw", "/slow"], encoding="utf-8", timeout=30)
    child.expect("going through SSH to cp1")
    assert api.asked.wait(30)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert forwards(api) == []
