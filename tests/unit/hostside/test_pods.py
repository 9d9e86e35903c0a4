"""Containers whose record is missing are named and left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import pods
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError


def test_containers_without_a_record_of_their_runtime_are_left_alone(tmp_path: Path) -> None:
    command = [pods.SHIM, "-c", "input()", "-namespace", "k8s.io"]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE) as shim:
        with pytest.raises(HostError, match=rf"processes .*\b{shim.pid}\b.* no record of the container runtime"):
            pods.main({"root": str(tmp_path), "check": False})
        assert shim.poll() is None
        shim.communicate(b"\n")
    assert pods.main({"root": str(tmp_path), "check": False}) == {"removed": []}
