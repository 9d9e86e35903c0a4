"""This machine's own packages, for what kubeinstall needs here: a Docker engine, a C library to link."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

from kubeinstall.errors import KubeinstallError

__all__ = ["Say", "as_root", "install_packages"]

Say = Callable[[str], None]


def as_root(command: Sequence[str]) -> list[str] | None:
    """The command as root may run it: as it is for root, by sudo where that asks for no password, else None."""
    if os.geteuid() == 0:
        return list(command)
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n", *command]
    return None


def install_packages(purpose: str, packages: Sequence[str], say: Say) -> None:
    """Install the distribution's packages, saying so. Raises KubeinstallError where this machine or user cannot."""
    wanted = " ".join(packages)
    if not shutil.which("apt-get"):
        raise KubeinstallError(
            f"{purpose} is missing, and this machine has no apt to install it with",
            remedy=f"install what your distribution calls {wanted}, then repeat",
        )
    install = as_root(["apt-get", "install", "--yes", "--no-install-recommends", *packages])
    update = as_root(["apt-get", "update"])
    if install is None or update is None:
        raise KubeinstallError(
            f"{purpose} is missing, and installing it needs root",
            remedy=f"`sudo apt-get install {wanted}`, then repeat",
        )
    say(f"Installing {purpose} from the distribution's packages: {wanted}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (update, install):
        # sudo drops the environment: hand over the one variable through env(1).
        if command[0] == "sudo":
            command[2:2] = ["env", "DEBIAN_FRONTEND=noninteractive"]
        done = subprocess.run(command, env=quiet, capture_output=True, text=True)
        if done.returncode:
            last = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
            raise KubeinstallError(f"`{' '.join(command)}` failed: {last}")
