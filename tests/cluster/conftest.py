"""A lab of its own, and a cluster on it, for the tests of this folder. They run in the order of their files.

The files tell a story: a fresh lab, the install, the living cluster, faults, the reset. Each test leaves the cluster
whole.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.lab import BIN, SNAPSHOT, Lab

ROOT = Path(__file__).resolve().parents[2]
NAME = "test"
INVENTORY = ROOT / "inventory" / NAME


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-lab", action="store_true", help="leave the lab `test` up at the end, and take it up as it is"
    )


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and all it printed."""

    code: int
    text: str


class Cluster:
    """The cluster under test, as an operator reaches it."""

    def __init__(self) -> None:
        self._lab = Lab(INVENTORY)
        self.addresses = {self._lab.name(host): self._lab.address(host) for host in self._lab.all}
        self.control_plane = [self._lab.name(host) for host in self._lab["control_plane"]]
        self.nodes = [self._lab.name(host) for host in self._lab["node"]]

    def _run(self, command: list[Any], timeout: float = 560) -> Done:
        # The output is plain lines: it is no terminal.
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def command(self, *arguments: Any, code: int | None = 0) -> str:
        """`kubeinstall …` against this cluster; fails the test with all it printed where the exit code is another."""
        done = self._run([BIN / "kubeinstall", *arguments])
        assert code is None or done.code == code, f"kubeinstall {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def apply(self, *arguments: Any, code: int | None = 0) -> str:
        return self.command("apply", "-i", INVENTORY, *arguments, code=code)

    def playbook(self, name: str, *arguments: Any, code: int = 0) -> str:
        """Plain `ansible-playbook`."""
        playbook = ROOT / "playbooks" / f"{name}.yml"
        done = self._run([BIN / "ansible-playbook", "-i", INVENTORY, playbook, *arguments])
        assert done.code == code, f"{name}.yml {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def kubectl(self, *arguments: Any, code: int | None = 0) -> str:
        done = self._run([BIN / "kubeinstall", "kubectl", "-i", INVENTORY, *arguments])
        assert code is None or done.code == code, f"kubectl {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def objects(self, *arguments: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return items

    def host(self, name: str) -> Host:
        return self._lab.host(name)

    def sh(self, name: str, command: str) -> str:
        return self._lab.sh(self.host(name), command)

    def invocations(self) -> dict[str, str]:
        """{host/unit: id of the start it runs from} of all that runs: what was restarted has another one."""
        found = {}
        for name in self.addresses:
            units = " ".join(f"{unit}.service" for unit in self.units(name))
            for line in self.sh(name, f"systemctl show --property=Id,InvocationID {units}").split("\n\n"):
                values = dict(part.split("=", 1) for part in line.split() if "=" in part)
                found[f"{name}/{values['Id']}"] = values["InvocationID"]
        return found

    def units(self, name: str) -> list[str]:
        every = ["containerd", "kubelet", "kube-proxy", "flanneld"]
        servers = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        return servers + every if name in self.control_plane else every


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One control plane and two nodes, fresh; taken down at the end, also after a failure."""
    keep = request.config.getoption("--keep-lab")
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    # On a machine that cannot reach upstream this builds them all, a quarter of an hour once: its progress is shown.
    subprocess.run([BIN / "kubeinstall", "components", "fetch"], cwd=ROOT, env=environment, check=True)
    kubeinstall = [str(BIN / "kubeinstall"), "lab"]
    if not keep:
        subprocess.run([*kubeinstall, "down", "--name", NAME], cwd=ROOT, env=environment, check=False)
    subprocess.run([*kubeinstall, "up", "--name", NAME], cwd=ROOT, env=environment, check=True)
    yield Cluster()
    if not keep:
        subprocess.run([*kubeinstall, "down", "--name", NAME], cwd=ROOT, env=environment, check=True)


@pytest.fixture(scope="session")
def untouched(lab: Cluster) -> dict[str, str]:
    """What each host looks like before anything was done to it."""
    return {name: lab.sh(name, SNAPSHOT) for name in lab.addresses}


@pytest.fixture(scope="session")
def cluster(lab: Cluster, untouched: dict[str, str]) -> Cluster:
    """The lab with a cluster on it, installed by the command."""
    lab.apply()
    return lab
