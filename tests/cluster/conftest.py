"""A lab of its own, and a cluster on it, for the tests of this folder. They run in the order of their files.

The files tell a story: a fresh lab, the install, the living cluster, faults, the reset. Each test leaves the cluster
whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
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
        inventory = json.loads(self._run([BIN / "ansible-inventory", "-i", INVENTORY, "--list"]).text)
        self.addresses: dict[str, str] = {
            name: variables["node_address"] for name, variables in inventory["_meta"]["hostvars"].items()
        }
        self.control_plane: list[str] = inventory["control_plane"]["hosts"]
        self.nodes: list[str] = inventory["node"]["hosts"]

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
        ssh = INVENTORY / ".kubeinstall" / "ssh"
        return testinfra.get_host(
            f"ssh://root@{self.addresses[name]}",
            ssh_identity_file=str(ssh / "id_ed25519"),
            ssh_extra_args=f"-o UserKnownHostsFile={ssh / 'known_hosts'} -o IdentitiesOnly=yes",
        )

    def sh(self, name: str, command: str) -> str:
        done = self.host(name).run(command)
        assert done.rc == 0, f"{name}: `{command}` ended with {done.rc}: {done.stderr}"
        return str(done.stdout)

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


def eventually(check: Callable[[], Any], timeout: float = 90, what: str = "") -> Any:
    """What `check` returns once it neither raises AssertionError nor returns something false."""
    import time

    deadline = time.monotonic() + timeout
    while True:
        try:
            if (value := check()) or time.monotonic() > deadline:
                assert value, f"not within {timeout} s: {what}"
                return value
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


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


SNAPSHOT = r"""
find /etc /usr/local /opt /var/lib /root /home /var/tmp -xdev -printf '%p %y %m %u:%g\n' |
  grep -Ev '^/etc/(.*-|.pwd.lock|ld.so.cache|resolv.conf|kubelet-resolv.conf) |^/var/lib/(systemd|private|dbus)' |
  grep -v /.sudo_as_admin_successful | sort
echo links; ls /sys/class/net | sort
echo rules; nft list ruleset | sed -E 's/packets [0-9]+ bytes [0-9]+//' | grep -v -e '^#' -e '127.0.0.11'
echo sysctls; sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables
echo mounts; awk '{print $2}' /proc/self/mounts | sort
echo units; systemctl list-unit-files --state=enabled --no-legend | awk '{print $1}' | sort
echo users; cat /etc/passwd /etc/group
"""


@pytest.fixture(scope="session")
def untouched(lab: Cluster) -> dict[str, str]:
    """What each host looks like before anything was done to it."""
    return {name: lab.sh(name, SNAPSHOT) for name in lab.addresses}


@pytest.fixture(scope="session")
def cluster(lab: Cluster, untouched: dict[str, str]) -> Cluster:
    """The lab with a cluster on it, installed by the command."""
    lab.apply()
    return lab
