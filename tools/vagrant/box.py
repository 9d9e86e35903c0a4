"""Makes a Debian 12 box for libvirt out of the distribution's packages, where no box catalogue can be reached.

`make box` makes it and adds it to your Vagrant. It is kept in the cache, by the digest of its recipe.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

from filelock import FileLock

from kubeinstall.components import machine_architecture
from kubeinstall.distribution import Say, as_root, install_packages
from kubeinstall.errors import KubeinstallError
from kubeinstall.images import atomic
from kubeinstall.lab.debian import root_tree
from tools.vagrant.programs import cache_folder, require, vagrant

__all__ = ["NAME", "add", "choose", "make"]

NAME = "kubeinstall/debian-12"
# As in the Vagrantfile.
_CATALOGUE = "debian/bookworm64"
_FOLDER = Path(__file__).parent
_RECIPE = ("box-packages", "box-setup", "box-disk")
_DISK_GIGABYTES = 20
_SECTOR = 512
_PARTITION_BEGIN = 1 << 20


def make(say: Say) -> Path:
    """The box, found in the cache or made there: two minutes, and 1 GiB. Raises KubeinstallError where it cannot be."""
    recipe = "\0".join([*((_FOLDER / name).read_text() for name in _RECIPE), *_packages()])
    box = cache_folder() / f"debian-12-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.box"
    with FileLock(f"{box}.lock"):
        if not box.exists():
            say(f"Making the box {NAME} from Debian's packages (about two minutes, once)")
            _make(box, say)
    return box


def choose(say: Say) -> str:
    """The name of a box that Vagrant has now: of the catalogue where one answers, else the one made here."""
    said = subprocess.run(["vagrant", "box", "list"], capture_output=True, text=True).stdout
    there = f"{_CATALOGUE} " in said
    if there or not vagrant("box", "add", "--provider", "libvirt", _CATALOGUE).returncode:
        return _CATALOGUE
    say("No box catalogue answers")
    add(make(say), say)
    return NAME


def _make(box: Path, say: Say) -> None:
    if machine_architecture() != "amd64":
        raise KubeinstallError("the box can be made for amd64 only", remedy="give KUBEINSTALL_BOX the name of another")
    if not shutil.which("qemu-img"):
        install_packages("a maker of disks", ["qemu-utils"], say)
    with tempfile.TemporaryDirectory(prefix="box-", dir=cache_folder()) as folder:
        work = Path(folder)
        work.chmod(0o755)
        hooks = [
            f'cp {_FOLDER / "box-setup"} "$1/opt/"',
            'chroot "$1" sh /opt/box-setup',
            'rm "$1/opt/box-setup"',
        ]
        root_tree(_packages(), work / "tree.tar", say, architecture="amd64", hooks=hooks)
        disk = work / "disk"
        with disk.open("wb") as empty:
            empty.truncate(_DISK_GIGABYTES << 30)
        command = ["sh", str(_FOLDER / "box-disk"), str(work / "tree.tar"), str(disk)]
        _run(as_root(command) or command)
        _make_bootable(disk, (work / "boot.img").read_bytes(), (work / "core.img").read_bytes())
        _run(["qemu-img", "convert", "-O", "qcow2", str(disk), str(work / "box.img")])
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": _DISK_GIGABYTES}
        (work / "metadata.json").write_text(json.dumps(metadata))
        with atomic(box) as out, tarfile.open(fileobj=out, mode="w") as archive:
            for name in ("metadata.json", "box.img"):
                archive.add(work / name, name)


def _packages() -> list[str]:
    """What a lab host has, and what a machine needs beyond that."""
    lab = resources.files("kubeinstall.lab") / "host" / "packages"
    return [*lab.read_text().split(), *(_FOLDER / "box-packages").read_text().split()]


def _make_bootable(disk: Path, boot: bytes, core: bytes) -> None:
    """Write the first sectors: GRUB's first part with a table of one partition, then its second part."""
    begin = _PARTITION_BEGIN // _SECTOR
    # Bootable, of Linux, addressed by sectors alone.
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", begin, (_DISK_GIGABYTES << 30) // _SECTOR - begin
    )
    with disk.open("r+b") as out:
        # What a BIOS runs ends where the signature of a disk and its table begin.
        out.write(boot[:440].ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa" + core)
        if out.tell() > _PARTITION_BEGIN:
            raise KubeinstallError("the boot loader does not fit before the partition")


def add(box: Path, say: Say) -> None:
    """Have Vagrant know the box as NAME."""
    say(f"Adding {box} to Vagrant as {NAME}")
    done = vagrant("box", "add", "--force", "--provider", "libvirt", "--name", NAME, str(box))
    if done.returncode:
        raise KubeinstallError(f"Vagrant does not take the box {box}", remedy="what it says is above")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise KubeinstallError(f"`{' '.join(command)}` failed: {last}")


if __name__ == "__main__":
    try:
        require(print)
        add(make(print), print)
    except KubeinstallError as error:
        sys.exit(str(error))
    print(f"Next: KUBEINSTALL_BOX={NAME} vagrant up")
