"""Virtual machines under test: made by Vagrant on libvirt, reached over SSH, and gone without a trace at the end."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import testinfra
import yaml
from testinfra.host import Host

from tests.clusters import ROOT, Cluster
from tests.lab import Lab, eventually
from tools.vagrant import box
from tools.vagrant.programs import cache_folder, libvirt, require, vagrant, virsh

__all__ = ["CHANGED", "Machines", "Seen", "as_it_was", "machines_of_vagrant"]

NAME = "test-vagrant"
POOL = "default"
# A line in what a run prints.
CHANGED = re.compile(r"^\d\d:\d\d:\d\d +changed ", re.MULTILINE)


@dataclass
class Seen:
    """What the last lines of a session show: how long each part took, and what commands printed."""

    seconds: dict[str, float] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - begun


class VagrantLab(Lab):
    """Hosts that are reached as their inventory says: as an ordinary user with sudo."""

    def host(self, name: str) -> Host:
        if name not in self._hosts:
            said = self._listed["_meta"]["hostvars"][name]
            known_hosts = self.inventory / ".kubeinstall" / "ssh" / "known_hosts"
            self._hosts[name] = testinfra.get_host(
                f"ssh://{said['ansible_user']}@{said['node_address']}?sudo=true",
                ssh_identity_file=said["ansible_ssh_private_key_file"],
                ssh_extra_args=f"-o UserKnownHostsFile={known_hosts} -o IdentitiesOnly=yes",
            )
        return self._hosts[name]


class Machines(Cluster):
    """The cluster that `vagrant up` has made."""

    # Emulated machines take minutes for what others do in seconds.
    patience = 1800

    def __init__(self, inventory: Path) -> None:
        super().__init__(inventory)
        self.lab = VagrantLab(inventory)

    def vagrant(self, *arguments: str) -> str:
        """What `vagrant …` prints."""
        done = self._run(["vagrant", *arguments])
        assert done.code == 0, done.text
        return done.text

    def sh_aside(self, name: str, command: str) -> None:
        """A command by Vagrant's own way, which does not go through the machines' network."""
        self.vagrant("ssh", name, "--command", f"sudo sh -c {shlex.quote(command)}")

    def reboot(self) -> None:
        """All machines at once; returns when each lets us in again."""
        before = {name: self.boot(name) for name in self.addresses}
        for name in self.addresses:
            self.host(name).run("systemctl reboot")

        def again() -> bool:
            return all(self.boot(name) not in ("", before[name]) for name in self.addresses)

        eventually(again, 600, "all are up again")

    def boot(self, name: str) -> str:
        """Another one after each boot; empty while SSH does not answer."""
        try:
            return str(self.host(name).run("cat /proc/sys/kernel/random/boot_id").stdout).strip()
        except RuntimeError:
            return ""

    def variant(self, folder: Path, hosts: dict[str, dict[str, object]]) -> Path:
        """The same inventory, in which these hosts have other variables."""
        target = folder / "inventory"
        shutil.copytree(self.inventory, target, ignore=shutil.ignore_patterns(".kubeinstall"))
        (target / ".kubeinstall").symlink_to(self.inventory / ".kubeinstall")
        for name, variables in hosts.items():
            (target / "host_vars" / name / "variant.yml").write_text(yaml.safe_dump(variables))
        return target


@contextmanager
def machines_of_vagrant(seen: Seen, patch: pytest.MonkeyPatch, *, keep: bool) -> Iterator[Machines]:
    """What `vagrant up` alone makes of one control plane and one node; away at the end, also after a failure.

    With `keep` they are taken up as they are, and left.
    """
    require(print)
    for name, value in {
        # A Vagrant of the tests' own, which knows nothing of yours.
        "VAGRANT_HOME": str(cache_folder() / "home"),
        "VAGRANT_DOTFILE_PATH": str(cache_folder() / "machines"),
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        "KUBEINSTALL_NAME": NAME,
        "KUBEINSTALL_NODES": "1",
        "KUBEINSTALL_NETWORK": "192.168.57",
    }.items():
        patch.setenv(name, value)
    with libvirt(print), nullcontext() if keep else as_it_was():
        if "KUBEINSTALL_BOX" not in os.environ:
            with seen.timed("finding or making a box"):
                patch.setenv("KUBEINSTALL_BOX", box.choose(print))
        try:
            if not keep:
                vagrant("destroy", "--force")
            with seen.timed("vagrant up, the cluster included"):
                assert vagrant("up").returncode == 0, "vagrant up failed; what it said is above"
            yield Machines(ROOT / "inventory" / NAME)
        finally:
            if not keep:
                vagrant("destroy", "--force")


@contextmanager
def as_it_was() -> Iterator[None]:
    """Take away from libvirt what Vagrant leaves there: disks of boxes, and the pool for them if there was none."""
    pools, disks = virsh("pool-list", "--all", "--name").stdout.split(), _disks()
    try:
        yield
    finally:
        for disk in _disks() - disks:
            virsh("vol-delete", "--pool", POOL, disk)
        if POOL not in pools:
            virsh("pool-destroy", POOL)
            virsh("pool-undefine", POOL)


def _disks() -> set[str]:
    return set(re.findall(r"^ (\S+_vagrant_box_image_\S+) +/", virsh("vol-list", POOL).stdout, re.MULTILINE))
