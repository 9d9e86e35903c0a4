"""The journal of a run: a folder of its own with what happened, for the operator's eyes only, and without secrets.

    runs/20260102-030405-x7k2/journal.jsonl     a line for the run, one per event, one for the end
    runs/20260102-030405-x7k2/output.log        what Ansible printed

A folder is locked (flock) by the run that writes it: that is how a journal in use is told from an old one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from kubeinstall.events import Event

__all__ = ["KEPT", "Journal", "scrub"]

KEPT = 20

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", re.DOTALL)
_URL_PASSWORD = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_NAMED_SECRET = re.compile(
    r"(?i)((?:password|passphrase|token|secret_?key|client_?secret)[\"']?\s*[=:]\s*)(\"[^\"]+\"|'[^']+'|\S+)"
)
_HIDDEN = "(hidden)"


def scrub(text: str) -> str:
    """The text without private keys, passwords in addresses, and values whose name says that they are secret."""
    text = _PRIVATE_KEY.sub(_HIDDEN, text)
    text = _URL_PASSWORD.sub(_HIDDEN, text)
    return _NAMED_SECRET.sub(lambda match: match[1] + _HIDDEN, text)


class Journal:
    """Creates the run's folder under `runs` (0700) and writes to it, until it is closed."""

    def __init__(self, runs: Path, about: Mapping[str, Any]) -> None:
        for folder in (runs.parent, runs):
            folder.mkdir(mode=0o700, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S-", time.gmtime())
        self.directory = Path(tempfile.mkdtemp(prefix=stamp, dir=runs))
        self._lock = os.open(self.directory, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._events = _create(self.directory / "journal.jsonl")
        self._output = _create(self.directory / "output.log")
        self._write({"started": time.time(), **about})
        _rotate(runs, KEPT)

    def record(self, event: Event) -> None:
        """Adds what is worth keeping of an event; results are left out, they belong to the run's caller."""
        if event.kind in ("start", "stats"):
            return
        line = {"time": event.time, "kind": event.kind, "play": event.play, "step": event.step, "host": event.host}
        if event.seconds:
            line["seconds"] = round(event.seconds, 3)
        if event.message:
            line["message"] = event.message
        self._write(line)

    def output(self, text: str) -> None:
        """Adds to what Ansible printed."""
        self._output.write(scrub(text) + "\n")
        self._output.flush()

    def close(self, about: Mapping[str, Any]) -> None:
        """Writes the last line, drops what only the running run needed, and lets go of the folder."""
        self._write({"ended": time.time(), **about})
        self._events.close()
        self._output.close()
        shutil.rmtree(self.directory / "artifacts", ignore_errors=True)
        os.close(self._lock)

    def _write(self, line: Mapping[str, Any]) -> None:
        # Scrubbed value by value: a pattern that runs over the line's own quotes would leave broken JSON.
        clean = {key: scrub(value) if isinstance(value, str) else value for key, value in line.items()}
        self._events.write(json.dumps(clean, ensure_ascii=False) + "\n")
        self._events.flush()


def _create(path: Path) -> TextIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")


def _rotate(runs: Path, keep: int) -> None:
    """Removes the oldest journals, and what a killed run has left in its folder."""
    folders = sorted((path for path in runs.iterdir() if path.is_dir()), reverse=True)
    for place, folder in enumerate(folders):
        if _in_use(folder):
            continue
        if place >= keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            shutil.rmtree(folder / "artifacts", ignore_errors=True)


def _in_use(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
