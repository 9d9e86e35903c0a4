"""kubeinstall as it was at a former commit, to install clusters that the tree under test takes over."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.clusters import ROOT

__all__ = ["Former"]


class Former:
    """The tree of a commit beside this one, with the packages of this one's environment."""

    def __init__(self, commit: str, folder: Path) -> None:
        self.tree = folder / "tree"
        self.tree.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x"], cwd=self.tree, input=archive, check=True)
        # Ansible's processes start another interpreter: it has to find the former package by itself.
        venv.create(folder / "venv", symlinks=True)
        paths = sysconfig.get_paths(vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")})
        Path(paths["purelib"], "former.pth").write_text(f"{self.tree}\n{sysconfig.get_paths()['purelib']}\n")
        self._python = folder / "venv/bin" / Path(sys.executable).name

    @staticmethod
    def known(commit: str) -> bool:
        """Whether this clone has the commit: one of a release archive or without history has not."""
        command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
        return subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def command(self, *arguments: str | Path) -> None:
        """`kubeinstall …` of that commit."""
        program = "from kubeinstall.cli import main; main()"
        # Its own ansible.cfg, not the one that these tests name.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        command = [str(self._python), "-c", program, *map(str, arguments)]
        subprocess.run(command, cwd=self.tree, env=environment, check=True)
