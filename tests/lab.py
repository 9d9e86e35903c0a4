"""The hosts of a lab as tests see them, over SSH and by testinfra, and what tests on a lab have to do with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import testinfra
from testinfra.host import Host

from kubeinstall import tether
from kubeinstall.lab.example_images import example_images

__all__ = [
    *("BIN", "SNAPSHOT", "Lab", "check_converge", "converge", "descendants", "eventually", "kill", "load_images"),
    "recap",
]

T = TypeVar("T")

BIN = Path(sys.executable).parent

# All of a host that an installer could have touched, as text.
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


def eventually(check: Callable[[], T], timeout: float = 90, what: str = "") -> T:
    """What `check` returns once it neither raises AssertionError nor returns something false; seconds."""
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


def descendants(pid: int) -> list[int]:
    """The process, and all processes that it and they started."""
    return [pid, *tether._descendants(pid)]


def kill(pids: list[int]) -> None:
    """SIGKILL to each that has not ended yet."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def recap(text: str) -> dict[str, dict[str, int]]:
    """The recap of plain ansible-playbook: {host: {changed: n, …}}."""
    lines = re.findall(r"^(\S+)\s+: (ok=\d+.*)$", text, re.MULTILINE)
    return {host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)} for host, rest in lines}


class Lab:
    """The hosts of a lab by the groups of its inventory, in its order: `lab["etcd"][0]`."""

    def __init__(self, inventory: Path) -> None:
        # Through the link that molecule has to it.
        self.inventory = inventory.resolve()
        self._hosts: dict[str, Host] = {}

    @cached_property
    def _listed(self) -> dict[str, Any]:
        command = [str(BIN / "ansible-inventory"), "-i", str(self.inventory), "--list"]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    def __getitem__(self, group: str) -> list[Host]:
        return [self.host(name) for name in self._listed.get(group, {}).get("hosts", [])]

    @property
    def all(self) -> list[Host]:
        return [self.host(name) for name in self._listed["_meta"]["hostvars"]]

    def host(self, name: str) -> Host:
        if name not in self._hosts:
            ssh = self.inventory / ".kubeinstall" / "ssh"
            self._hosts[name] = testinfra.get_host(
                f"ssh://root@{self._listed['_meta']['hostvars'][name]['node_address']}",
                ssh_identity_file=str(ssh / "id_ed25519"),
                ssh_extra_args=f"-o UserKnownHostsFile={ssh / 'known_hosts'} -o IdentitiesOnly=yes",
            )
        return self._hosts[name]

    def read_again(self) -> None:
        """The inventory was changed."""
        self.__dict__.pop("_listed", None)

    def variables(self, name: str) -> dict[str, Any]:
        """What the inventory says of a host."""
        return dict(self._listed["_meta"]["hostvars"][name])

    def name(self, host: Host) -> str:
        """Its name in the inventory, which is its node's, too."""
        (name,) = [name for name in self._listed["_meta"]["hostvars"] if self.host(name) is host]
        return str(name)

    def address(self, host: Host) -> str:
        return str(self._listed["_meta"]["hostvars"][self.name(host)]["node_address"])

    def sh(self, host: Host, command: str) -> str:
        """What a command prints on a host; fails with what it says."""
        done = host.run(command)
        said = done.stderr.strip() or done.stdout.strip()
        assert done.rc == 0, f"{self.name(host)}: `{command.splitlines()[0]}` ended with {done.rc}: {said}"
        return str(done.stdout)

    def journal(self, host: Host, unit: str, lines: int = 25) -> str:
        """The last lines that a unit wrote."""
        return str(host.run(f"journalctl --no-pager --output=cat --lines={lines} --unit={unit}").stdout)

    def kubectl(self, arguments: str, manifest: object = None) -> str:
        """`kubectl …` on the first control plane, as root of the cluster; a manifest is its standard input."""
        # A reset is held to leave nothing: its cache belongs where a reboot removes it.
        command = f"kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubectl {arguments}"
        if manifest is not None:
            command += f" <<'EOF'\n{json.dumps(manifest)}\nEOF"
        return self.sh(self["control_plane"][0], command)

    def objects(self, arguments: str) -> list[dict[str, Any]]:
        """What `kubectl get …` lists."""
        return list(json.loads(self.kubectl(f"get {arguments} --output=json"))["items"])


def load_images(lab: Lab, *references: str) -> None:
    """Some of the example's images into every host's container engine, by the command that users have for theirs."""
    made = example_images(print)
    archives = [made[reference] for reference in references]
    command: list[str | Path] = [BIN / "kubeinstall", "image", "load", "-i", lab.inventory, *archives]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"the images could not be loaded: {done.stdout}"


def converge(lab: Lab, *arguments: str) -> str:
    """What ansible-playbook prints of a scenario's converge.yml, run with more arguments than molecule gives it."""
    # The scenario's own variables come first, as molecule gives them.
    own = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", own, "-i", lab.inventory, "converge.yml", *arguments],
        cwd=os.environ["MOLECULE_SCENARIO_DIRECTORY"],
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def check_converge(lab: Lab) -> dict[str, int]:
    """The changes that a scenario's converge.yml foresees in check mode, by host."""
    found = recap(converge(lab, "--check", "--diff"))
    return {host: counts["changed"] for host, counts in found.items()}
