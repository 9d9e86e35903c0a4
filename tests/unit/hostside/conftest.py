"""A real API server with its etcd on loopback, from the components cache; without them the tests that need it skip."""

from __future__ import annotations

import functools
import platform
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import drain, waiting
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import border

from kubeinstall.certificates import CertificateRequest
from kubeinstall.components import Catalogue, Store, machine_architecture
from kubeinstall.pki import PKI
from tests.unit.hostside.nodes import report


def _as_declared(module: ModuleType) -> None:
    """Whatever a module's `main` answers in these tests has to be of the form that it declares."""
    main = module.main

    @functools.wraps(main)
    def checked(spec: dict[str, Any]) -> Any:
        answer = main(spec)
        border.validated(answer, module.ANSWERS[spec.get("operation", "main")].form)
        return answer

    module.main = checked  # type: ignore[attr-defined]


for _module in border.operations():
    _as_declared(_module)


@pytest.fixture(autouse=True)
def _no_run_holds_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that another test makes: here a process serves many of them."""
    monkeypatch.setattr(waiting, "HOLD", "@no-run")
    monkeypatch.setattr(waiting, "_hold", None)


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in with_sockets]
    for server in with_sockets:
        server.close()
    return ports


def program(name: str) -> Path:
    catalogue = Catalogue.load()
    component = catalogue.component_of(name)
    file = Store().locate(name, catalogue.default(component), machine_architecture())
    if file is None or platform.system() != "Linux":
        pytest.skip(f"{name} is not in the components cache (kubeinstall components fetch {name})")
    return file.path


@contextmanager
def running(log: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen(list(map(str, command)), stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def api_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """{server, authority, certificate, key} of an API server that is ready."""
    etcd, apiserver = program("etcd"), program("kube-apiserver")
    folder = tmp_path_factory.mktemp("control-plane")
    pki = PKI(folder / "pki")
    pki.ensure()
    for name, request in {
        "apiserver": CertificateRequest("kubernetes", "kube-apiserver", (), (), ("127.0.0.1",), frozenset({"server"})),
        "admin": CertificateRequest("kubernetes", "admin", ("system:masters",), (), (), frozenset({"client"})),
    }.items():
        certificate, key = pki.issue(request)
        (folder / f"{name}.crt").write_text(certificate)
        (folder / f"{name}.key").write_text(key)
    client, peer, secure = free_ports(3)
    access = {
        "server": f"https://127.0.0.1:{secure}",
        "authority": str(folder / "pki/kubernetes/ca.crt"),
        "certificate": str(folder / "admin.crt"),
        "key": str(folder / "admin.key"),
    }
    urls = [f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"]
    with (
        running(
            folder / "etcd.log",
            etcd,
            f"--data-dir={folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={urls[0]}",
            f"--advertise-client-urls={urls[0]}",
            f"--listen-peer-urls={urls[1]}",
            f"--initial-advertise-peer-urls={urls[1]}",
            f"--initial-cluster=default={urls[1]}",
        ),
        running(
            folder / "apiserver.log",
            apiserver,
            f"--etcd-servers={urls[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1",
            f"--secure-port={secure}",
            f"--tls-cert-file={folder / 'apiserver.crt'}",
            f"--tls-private-key-file={folder / 'apiserver.key'}",
            f"--client-ca-file={access['authority']}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'pki/service-account.pub'}",
            f"--service-account-signing-key-file={folder / 'pki/service-account.key'}",
            "--disable-admission-plugins=ServiceAccount",
        ) as process,
    ):
        with closing(API(**access, patience=60)) as api:
            _wait(api, process, folder / "apiserver.log")
        yield access


def _wait(api: API, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            api.request("GET", "/readyz")
            # They come after readiness, by a controller of the API server's own.
            if all(api.get(f"/api/v1/namespaces/{name}") for name in ("default", "kube-system")):
                return
        except Exception:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-3000:]) from None
        time.sleep(0.1)


@pytest.fixture
def api(api_access: dict[str, Any]) -> Iterator[API]:
    with closing(API(**api_access, patience=10)) as api:
        yield api


@pytest.fixture
def node(api: API) -> Iterator[str]:
    """The name of a node that is Ready; it goes with all pods there are."""
    name = f"node-{uuid.uuid4().hex[:8]}"
    api.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    report(api, name, "True")
    yield name
    for pod in api.request("GET", "/api/v1/pods")["items"]:
        api.request("DELETE", drain._path(pod), {"gracePeriodSeconds": 0})
    if api.get(f"/api/v1/nodes/{name}"):
        api.request("DELETE", f"/api/v1/nodes/{name}")
