"""The molecule scenarios of the tree, and how one is run."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.lab import BIN

__all__ = ["ROLES", "ROOT", "Scenario", "scenarios"]

ROOT = Path(__file__).resolve().parents[1]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


@dataclass(frozen=True)
class Scenario:
    """A scenario by its folder: roles/ROLE/molecule/NAME, or molecule/NAME for what is no role's."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def project(self) -> Path:
        """Where molecule is called: the role, or the checkout."""
        return self.folder.parents[1]

    @property
    def title(self) -> str:
        """What it is called in lists: etcd default, or cluster."""
        return self.name if self.project == ROOT else f"{self.project.name} {self.name}"

    @property
    def proves(self) -> str:
        """What its molecule.yml says above all else."""
        text = (self.folder / "molecule.yml").read_text()
        comment = re.match(r"---\n((?:# .*\n)+)", text)
        return " ".join(line.removeprefix("# ") for line in comment[1].splitlines()) if comment else ""

    @property
    def stops_service(self) -> bool:
        """Whether its service is stopped, to see that its verifier notices: tried once for each role."""
        return self.name != "alternative"

    def molecule(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`molecule …` for this scenario, its output as plain lines."""
        command = [str(BIN / "molecule"), *arguments, "--scenario-name", self.name, "--no-command-borders"]
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.run(
            command,
            cwd=self.project,
            env={**env, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def first_failure(self, report: Path) -> str:
        """What its verifier says first, run until a test fails; empty where none does. `report` is overwritten."""
        done = self.molecule("verify", PYTEST_ADDOPTS=f"--maxfail=1 --junit-xml={report}")
        failure = ElementTree.parse(report).find(".//failure")  # noqa: S314 pytest wrote it a moment ago
        if failure is None:
            assert done.returncode == 0, done.stdout
            return ""
        return str(failure.get("message")).removeprefix("AssertionError: ").splitlines()[0]


def scenarios() -> list[Scenario]:
    """All of them, as the tree has them: by role, then those that are no role's."""
    files = [*sorted(ROOT.glob("roles/*/molecule/*/molecule.yml")), *sorted(ROOT.glob("molecule/*/molecule.yml"))]
    return [Scenario(file.parent) for file in files]
