"""Containers whose record is missing are named and left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import pods
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.record import Record


@pytest.mark.parametrize("recorded", ["", "docker"])
def test_containers_without_a_record_of_their_runtime_are_left_alone(tmp_path: Path, recorded: str) -> None:
    """They are containerd's: a record of Docker Engine is not theirs."""
    if recorded:
        Record(Host(str(tmp_path)), recorded).save()
    # It has no command line yet where exec has only begun: it prints a line when it runs.
    command = [pods.SHIM, "-c", "print(flush=True); input()", "-namespace", "k8s.io"]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shim:
        assert shim.stdout
        shim.stdout.readline()
        with pytest.raises(HostError, match=rf"processes .*\b{shim.pid}\b.* no record of the container runtime"):
            pods.main({"root": str(tmp_path), "check": False})
        assert shim.poll() is None
        shim.communicate(b"\n")
    assert pods.main({"root": str(tmp_path), "check": False}) == {"removed": []}
