"""A container runtime is asked by CRI, as kubelet does: a real containerd, with and without its CRI plugin."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import cri

from tests.lab import eventually
from tests.unit.hostside.conftest import program, running

CONFIG = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = {disabled}
[grpc]
  address = "{folder}/s"
[ttrpc]
  address = "{folder}/t"
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{folder}/net.d"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="containerd needs root")
@pytest.mark.parametrize("served", [True, False])
def test_containerd_serves_cri_or_does_not(tmp_path: Path, served: bool) -> None:
    containerd, path = program("containerd"), str(tmp_path / "s")
    config = tmp_path / "config.toml"
    disabled = "[]" if served else '["io.containerd.grpc.v1.cri"]'
    config.write_text(CONFIG.format(folder=tmp_path, disabled=disabled))
    with running(tmp_path / "log", containerd, "--config", config):

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(path) == 0

        # This is all that was asked before.
        eventually(answers, 20, "containerd listens")
        if served:
            eventually(lambda: cri.problem(path, network=False) is None, 20, "containerd serves CRI")
            assert "NetworkReady is false" in str(cri.problem(path, network=True))
        else:
            assert cri.problem(path, network=False) == f"{path} does not serve CRI: it refuses the call Status"


def test_what_is_no_container_runtime(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert cri.problem(path, network=False) == f"{path} does not answer: No such file or directory"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer() -> None:
            with server.accept()[0] as client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        problem = cri.problem(path, network=False)
        thread.join()
    assert problem is not None
    assert path in problem


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x05ab", b"\x0d\x00\x00\x00\x00", b"\xff"])
def test_a_message_that_is_no_status(message: bytes) -> None:
    with pytest.raises(ValueError, match="it answers with"):
        list(cri._fields(message))
