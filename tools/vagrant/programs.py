"""Vagrant and libvirt on this machine: installed where they are missing, and libvirt started where none answers."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from kubeinstall.distribution import Say, as_root, install_packages
from kubeinstall.errors import KubeinstallError

__all__ = ["cache_folder", "libvirt", "require", "vagrant", "virsh"]

# By the programs that tell whether they are there.
_PACKAGES = {
    "vagrant": ("vagrant", "vagrant-libvirt"),
    "virsh": ("libvirt-clients", "libvirt-daemon-system"),
    "qemu-system-x86_64": ("qemu-system-x86", "qemu-utils"),
    "dnsmasq": ("dnsmasq-base",),
}
_START_SECONDS = 60
_KVM = Path("/dev/kvm")
# A machine without a disk.
_FIRMWARE = (
    *("qemu-system-x86_64", "-machine", "pc,accel=kvm", "-cpu", "host", "-m", "64", "-nodefaults", "-display", "none"),
    *("-chardev", "stdio,id=said", "-device", "isa-debugcon,iobase=0x402,chardev=said"),
)


def cache_folder() -> Path:
    """Where boxes, logs and the tests' own Vagrant lie; made when missing."""
    folder = user_cache_path("kubeinstall") / "vagrant"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require(say: Say) -> None:
    """Have Vagrant with libvirt installed. Raises KubeinstallError where this machine or user cannot."""
    path = _path()
    missing = [name for program, names in _PACKAGES.items() if not shutil.which(program, path=path) for name in names]
    if missing:
        install_packages("Vagrant with libvirt", missing, say)


def vagrant(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run Vagrant in the checkout, with its output on the screen."""
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(["vagrant", *arguments], cwd=root, stdin=subprocess.DEVNULL)


def virsh(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask libvirt's own system instance, the one that Vagrant uses."""
    return subprocess.run(["virsh", "-c", "qemu:///system", *arguments], capture_output=True, text=True)


@contextmanager
def libvirt(say: Say) -> Iterator[None]:
    """Libvirt answers meanwhile: the one that does already or can be started as a service, else one of ours.

    Ours is ended at the end. Raises KubeinstallError where none can be started, with its last words.
    """
    with ExitStack() as stack:
        if virsh("uri").returncode:
            if Path("/run/systemd/system").is_dir():
                _start_service(say)
            else:
                say(f"Starting libvirt by hand (no systemd here), its output goes to {cache_folder()}")
                stack.enter_context(_running("virtlogd"))
                stack.enter_context(_running("libvirtd", *_without_broken_kvm()))
            _wait()
        yield


def _start_service(say: Say) -> None:
    command = as_root(["systemctl", "start", "libvirtd"])
    if command is None:
        remedy = "`sudo systemctl start libvirtd`, and your user in the group libvirt"
        raise KubeinstallError("libvirt does not answer", remedy=remedy)
    say("Starting libvirt (systemctl start libvirtd)")
    subprocess.run(command, capture_output=True)


def _without_broken_kvm() -> tuple[str, ...]:
    """What lets libvirt see no /dev/kvm where that does not work: it would believe in it, and ask each time."""
    if not _KVM.exists() or _kvm_works():
        return ()
    nothing, settings = cache_folder() / "no-kvm", cache_folder() / "qemu.conf"
    nothing.touch()
    nothing.chmod(0)
    # The machines' own /dev would not take what is mounted in ours.
    settings.write_text("namespaces = []\n")
    mounts = f'mount --bind "$0" {_KVM} && mount --bind "$1" /etc/libvirt/qemu.conf && shift && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mounts, str(nothing), str(settings))


def _kvm_works() -> bool:
    """Whether libvirt's machines may use KVM, and a machine's firmware runs by it: it says a word at once."""
    try:
        if not _KVM.stat().st_mode & stat.S_IWGRP:
            return False
        command = as_root(["timeout", "5", *_FIRMWARE]) or _FIRMWARE
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as trial:
            assert trial.stdout is not None  # noqa: S101
            said = trial.stdout.readline()
            trial.terminate()
    except OSError:
        return False
    return bool(said)


@contextmanager
def _running(program: str, *before: str) -> Iterator[None]:
    """That program as a process of ours, called by what stands before it."""
    command = as_root([*before, program])
    if command is None:
        raise KubeinstallError(f"{program} does not run, and starting it needs root", remedy="repeat as root")
    with (cache_folder() / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={"PATH": _path()}
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait() -> None:
    until = time.monotonic() + _START_SECONDS
    while (done := virsh("uri")).returncode:
        if time.monotonic() > until:
            log = cache_folder() / "libvirtd.log"
            last = "; ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else done.stderr.strip()
            raise KubeinstallError(f"libvirt did not answer within {_START_SECONDS} s: {last}")
        time.sleep(0.2)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
