"""What flags a program takes, asked of the program itself: its parser reads them before it looks at `--help`.

Answers are kept beside the program for as long as its digest is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from kubeinstall.components.store import File, sha256_of
from kubeinstall.errors import ComponentError

__all__ = ["Flags"]

SECONDS = 60
# As pflag, Go's flag package and urfave/cli print them.
NAME = re.compile(r"^ {1,8}(?:-\w, )?--?([A-Za-z][\w.-]*)", re.MULTILINE)
REFUSALS = re.compile(
    r"(unknown flag: \S+|unknown shorthand flag: .+|flag provided but not defined: \S+|flag needs an argument: .+"
    r"|invalid argument .+|invalid (?:boolean )?value .+)"
)

# As kubelet prints an error.
LOGGED = re.compile(r' err="(.*)"$')


class Flags:
    """The flags of one program in the component cache. ComponentError where it does not run on this machine."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._kept = file.path.with_name(f"{file.name}.flags.json")
        self._known = self._read()
        self._verified = False

    @property
    def names(self) -> tuple[str, ...]:
        """Those that its help lists, without dashes."""
        if not self._known["names"]:
            self._known["names"] = sorted(set(NAME.findall(self._run("--help").stdout)))
            self._write()
        return tuple(self._known["names"])

    def refusal(self, name: str, value: str) -> str:
        """What the program says against `--name=value`, empty where it takes it."""
        argument = f"--{name}={value}"
        # A value can be a password's.
        key = hashlib.sha256(argument.encode()).hexdigest()
        refusals: dict[str, str] = self._known["refusals"]
        if key not in refusals:
            done = self._run(argument, "--help")
            refusals[key] = _refusal(done)
            self._write()
        return refusals[key]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        name = f"{self._file.name} {self._file.version}"
        if not self._verified and sha256_of(self._file.path) != self._file.sha256:
            raise ComponentError(
                f"the cached {name} does not have the digest that it was stored with",
                where=str(self._file.path),
                remedy=f"kubeinstall components fetch {self._file.name}",
            )
        self._verified = True
        try:
            done = subprocess.run(
                [self._file.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
                cwd="/",
                env={"PATH": os.defpath},
            )
            if done.returncode == 0 or done.stdout.strip():
                return done
            reason = f"it printed nothing and ended with {done.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"it printed no help within {SECONDS} s"
        except OSError as error:
            reason = str(error.strerror)
        raise ComponentError(f"{name} does not run on this machine: {reason}")

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            known = json.loads(self._kept.read_text(encoding="utf-8"))
            if known.get("sha256") == self._file.sha256:
                return {"sha256": known["sha256"], "names": known["names"], "refusals": known["refusals"]}
        return {"sha256": self._file.sha256, "names": [], "refusals": {}}

    def _write(self) -> None:
        # A cache that this user can't write to is one that is asked again.
        with contextlib.suppress(OSError):
            descriptor, temporary = tempfile.mkstemp(dir=self._kept.parent, prefix=".flags-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(self._known, stream, indent=1)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(self._kept)


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    # Only a part of the help of a program that took the flag could look like a refusal.
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    for line in lines[:1] + lines[-1:]:
        logged = LOGGED.search(line)
        if found := REFUSALS.search(logged[1].replace('\\"', '"') if logged else line):
            return found[1].strip()
    return "" if done.returncode == 0 else lines[-1].strip()
