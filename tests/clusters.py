"""A cluster under test, as an operator reaches it, and the lab that it stands on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.lab import BIN, Lab, recap

__all__ = ["ROOT", "Cluster", "Done", "lab_of"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and all it printed."""

    code: int
    text: str


class Cluster:
    """The cluster of an inventory."""

    # Seconds that one command may take.
    patience = 560

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        self.lab = Lab(inventory)
        self.addresses = {self.lab.name(host): self.lab.address(host) for host in self.lab.all}
        self.control_plane = [self.lab.name(host) for host in self.lab["control_plane"]]
        self.etcd = [self.lab.name(host) for host in self.lab["etcd"]]
        self.nodes = [self.lab.name(host) for host in self.lab["node"]]

    def _run(self, command: list[Any]) -> Done:
        # The output is plain lines: it is no terminal.
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.patience,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def command(self, *arguments: Any, code: int | None = 0) -> str:
        """`kubeinstall …` against this cluster; fails the test with all it printed where the exit code is another."""
        done = self._run([BIN / "kubeinstall", *arguments])
        assert code is None or done.code == code, f"kubeinstall {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def apply(self, *arguments: Any, code: int | None = 0) -> str:
        return self.command("apply", "-i", self.inventory, *arguments, code=code)

    def playbook(self, name: str, *arguments: Any, code: int = 0) -> str:
        """Plain `ansible-playbook`."""
        playbook = ROOT / "playbooks" / f"{name}.yml"
        done = self._run([BIN / "ansible-playbook", "-i", self.inventory, playbook, *arguments])
        assert done.code == code, f"{name}.yml {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def changes_nothing(self, name: str, *arguments: Any) -> None:
        """Plain `ansible-playbook` finds nothing to do on any host; fails the test with all it printed otherwise."""
        said = self.playbook(name, *arguments)
        assert {counts["changed"] for counts in recap(said).values()} == {0}, said

    def kubectl(self, *arguments: Any, code: int | None = 0) -> str:
        done = self._run([BIN / "kubeinstall", "kubectl", "-i", self.inventory, *arguments])
        assert code is None or done.code == code, f"kubectl {arguments} ended with {done.code}:\n{done.text}"
        return done.text

    def objects(self, *arguments: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return items

    def host(self, name: str) -> Host:
        return self.lab.host(name)

    def sh(self, name: str, command: str) -> str:
        return self.lab.sh(self.host(name), command)

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
        """The services of a host."""
        units = ["etcd"] if name in self.etcd else []
        if name in self.control_plane:
            units += ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        if name in self.control_plane or name in self.nodes:
            engine = self.lab.variables(name).get("container_engine", "containerd")
            units += {"containerd": ["containerd"], "docker": ["docker", "cri-docker"]}[engine]
            units += ["kubelet", "kube-proxy", "flanneld"]
            units += ["api-balancer"] if len(self.control_plane) > 1 else []
        return units


@contextmanager
def lab_of(name: str, *size: str, keep: bool) -> Iterator[Cluster]:
    """A lab of that size (options of `lab up`), fresh; taken down at the end, also after a failure.

    With `keep` it is taken up as it is, and left.
    """
    environment = dict(os.environ, PYTHONUNBUFFERED="1")

    def kubeinstall(*arguments: str, check: bool = True) -> None:
        subprocess.run([BIN / "kubeinstall", *arguments], cwd=ROOT, env=environment, check=check)

    # On a machine that cannot reach upstream this builds them all, a quarter of an hour once: its progress is shown.
    kubeinstall("components", "fetch")
    if not keep:
        kubeinstall("lab", "down", "--name", name, check=False)
    try:
        kubeinstall("lab", "up", "--name", name, *size)
        yield Cluster(ROOT / "inventory" / name)
    finally:
        if not keep:
            kubeinstall("lab", "down", "--name", name)
