"""An upstream on loopback that serves, breaks off and stalls like a real one, and a cache that asks it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeinstall.components import Catalogue, Store, download, find_toolchain
from kubeinstall.components.build import Toolchain
from kubeinstall.errors import ComponentError


@dataclass
class Upstream:
    """`files` by path; `cuts` says after how many bytes the next answers of a path break off."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    delay: float = 0.0
    # A path whose answers stop in the middle for so long, in seconds.
    stalls: dict[str, float] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


def handler_of(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            upstream.requests.append((self.path, wanted))
            time.sleep(upstream.delay)
            body = upstream.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and upstream.ranges else 0
            if start >= len(body) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            rest = body[start:]
            if cuts := upstream.cuts.get(self.path):
                rest = rest[: cuts.pop(0)]
            if stall := upstream.stalls.pop(self.path, 0.0):
                self.wfile.write(rest[: len(rest) // 2])
                self.wfile.flush()
                time.sleep(stall)
                return
            self.wfile.write(rest)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    return Handler


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_unreachable", {})
    state = Upstream()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@dataclass
class Notes:
    """A Progress that remembers."""

    sentences: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, int | None, str]] = field(default_factory=list)

    def said(self, text: str) -> None:
        self.sentences.append(text)

    def step(self, label: str, done: int, total: int | None, unit: str) -> None:
        self.steps.append((label, done, total, unit))


@pytest.fixture
def notes() -> Notes:
    return Notes()


def archive(members: dict[str, bytes]) -> bytes:
    """A .tar.gz of these files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.fixture
def catalogue_path(tmp_path: Path, upstream: Upstream) -> Path:
    """A small catalogue that comes from `upstream`, which is given the files here.

    tool is a bare program; pair is an archive of two, alpha and beta; pause is the real module, with a release as well;
    unpinned has a release without a digest, and a build.
    """
    upstream.files = {
        "/tool-1.2.3-amd64": b"tool" * 200_000,
        "/pair-1.2.3-amd64.tgz": archive({"pair/./alpha": b"alpha", "pair/beta": b"beta", "pair/README": b"read me"}),
        "/pause-1.2.3-amd64": b"pause from upstream",
        "/unpinned-1.2.3-amd64": b"unpinned from upstream",
    }
    digests = {path.split("-")[0].strip("/"): sha256(body) for path, body in upstream.files.items()}
    build = {"packages": {"pause": "."}, "variables": {"main.version": "v{version}"}}

    def component(name: str, files: list[str], ending: str = "", **more: Any) -> dict[str, Any]:
        release = {"url": f"{upstream.url}/{name}-{{version}}-{{architecture}}{ending}", **more.pop("release", {})}
        versions = {version: {"digests": {"amd64": digests[name]}} for version in ("1.2.3", "1.2.2")}
        return {"default": "1.2.3", "files": files, "release": release, "versions": versions, **more}

    data = {
        "tool": component("tool", ["tool"]),
        "pair": component(
            "pair", ["alpha", "beta"], ".tgz", release={"members": {"alpha": "pair/alpha", "beta": "pair/beta"}}
        ),
        "pause": component("pause", ["pause"], build=build),
        "unpinned": component("unpinned", ["unpinned"], build={"packages": {"unpinned": "."}}),
    }
    for name in ("pause", "unpinned"):
        data[name]["versions"]["1.2.3"]["module"] = "pause"
    data["unpinned"]["versions"]["1.2.3"]["digests"] = {"amd64": None}
    path = tmp_path / "catalogue.yml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path, catalogue_path: Path) -> Store:
    return Store(tmp_path / "cache", catalogue=Catalogue.load(catalogue_path))


@pytest.fixture
def toolchain() -> Toolchain:
    """Go, for the tests that really build."""
    try:
        return find_toolchain("1.24.0")
    except ComponentError as error:
        pytest.skip(str(error))
