"""Keeps a run's hold on a cluster for as long as the run lasts: a process beside the run, one for each.

    python -I -S keeper.py RUN_PID STATE_FILE   <<< [{"host": name, "command": [word, …]}, …]

Each command runs module_utils/hostside/hold.py on a host and keeps its name as long as we write to it. The answer is
one line of JSON: {"holding": [host]}; {"held": what the holder says, "host": name}; {"away": {host: why}} where none
can be reached; or {"failed": {host: why}}. After "holding" this process stays, out of the run's sight, and notes in
STATE_FILE when a host last answered (CLOCK_BOOTTIME: it goes on while a laptop sleeps). When the run's process ends, by
whatever signal, the hold ends with it. Only the standard library: it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

SSH_FAILED = 255
BEAT_SECONDS = 3.0
# A host that has not answered within it is as good as away.
CONNECT_SECONDS = 20.0
# A run whose command was killed is given five seconds to end in order: whoever comes next waits for that.
PATIENCE_SECONDS = 8.0
END_SECONDS = 2.0
# Bytes that a host may print before its answer, or on its standard error.
LONGEST = 100_000


class Hold:
    """One host's part of the hold: ssh and what it runs there."""

    def __init__(self, host: str, command: Sequence[str]) -> None:
        self.host = host
        # A file and no pipe, which ssh could fill when it is asked to be talkative.
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.said, bufsize=0)
        self.stdin = cast(BinaryIO, self.process.stdin)
        self.stdout = cast(BinaryIO, self.process.stdout)

    def answer(self, deadline: float) -> dict[str, Any]:
        """Its first line of JSON (a login shell may print others), or {"failed": why, "away": it was not reached}."""
        text = b""
        while select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(self.stdout.fileno(), 4096)
            text += part
            for line in text.splitlines(keepends=True):
                if line.endswith(b"\n") and (answer := _declared(line)):
                    return answer
            if len(text) > LONGEST:
                return {"failed": "it answers with something else", "away": False}
            if not part:
                self.said.seek(0)
                words = self.said.read().decode(errors="replace").strip().splitlines()
                away = False
                with contextlib.suppress(subprocess.TimeoutExpired):
                    away = self.process.wait(END_SECONDS) == SSH_FAILED
                return {"failed": words[-1] if words else "it ended without a word", "away": away}
        return {"failed": f"no answer within {CONNECT_SECONDS:.0f} s", "away": False}

    def beat(self) -> None:
        # Its standard error lies on our disk.
        if os.fstat(self.said.fileno()).st_size > LONGEST:
            self.process.kill()
        with contextlib.suppress(OSError):
            self.stdin.write(b".")

    def heard(self) -> bool:
        """Takes what the host has answered; False when it is gone."""
        return bool(os.read(self.stdout.fileno(), 4096))

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _declared(line: bytes) -> dict[str, Any] | None:
    """The answer of hostside/hold.py, {"holding": True} or {"held": who, or null}; None for anything else."""
    try:
        answer = json.loads(line) if line.startswith(b"{") else None
    except (ValueError, RecursionError):
        return None
    if answer == {"holding": True}:
        return {"holding": True}
    if isinstance(answer, dict) and answer.keys() == {"held"} and isinstance(answer["held"], dict | None):
        return {"held": answer["held"]}
    return None


def main(run: int, state: Path) -> int:
    try:
        watched = os.pidfd_open(run)
    except ProcessLookupError:
        return 1
    commands = json.load(sys.stdin)
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Two runs that began together, and stand in each other's way, ask again at different times.
    pause = 0.2 + run % 7 / 10
    while True:
        holds = [Hold(item["host"], item["command"]) for item in commands]
        answer = _answer(holds)
        if "held" not in answer:
            break
        _end(holds)
        if time.monotonic() > deadline or select.select([watched], [], [], pause)[0]:
            break
    holding = [hold for hold in holds if hold.host in answer.get("holding", ())]
    if holding:
        _note(state)
    print(json.dumps(answer), flush=True)
    # The run waits for the end of our output, and nothing of ours is to keep its terminal open.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    try:
        _keep(holding, watched, state)
    finally:
        _end(holds)
    return 0


def _answer(holds: Sequence[Hold]) -> dict[str, Any]:
    deadline = time.monotonic() + CONNECT_SECONDS
    answers = {hold.host: hold.answer(deadline) for hold in holds}
    for host, answer in answers.items():
        if "held" in answer:
            return {"held": answer["held"], "host": host}
    holding = [host for host, answer in answers.items() if answer.get("holding")]
    if holding:
        return {"holding": holding}
    away = all(answer["away"] for answer in answers.values())
    return {"away" if away else "failed": {host: answer["failed"] for host, answer in answers.items()}}


def _keep(holds: list[Hold], watched: int, state: Path) -> None:
    """Until the run's process has ended, or no host is left that answers."""
    next_beat = time.monotonic()
    while holds:
        if time.monotonic() >= next_beat:
            next_beat = time.monotonic() + BEAT_SECONDS
            for hold in holds:
                hold.beat()
        files = {hold.stdout.fileno(): hold for hold in holds}
        ready, _, _ = select.select([watched, *files], [], [], max(0.0, next_beat - time.monotonic()))
        if watched in ready:
            return
        gone = [files[number] for number in ready if not files[number].heard()]
        holds = [hold for hold in holds if hold not in gone]
        if len(ready) > len(gone):
            _note(state)


def _end(holds: Sequence[Hold]) -> None:
    for hold in holds:
        with contextlib.suppress(OSError):
            hold.stdin.close()
    for hold in holds:
        hold.end()


def _note(state: Path) -> None:
    """That a host has answered now; whole at any moment. The folder goes with the run."""
    new = state.with_name(f".{state.name}.new")
    with contextlib.suppress(OSError):
        new.write_text(f"{time.clock_gettime(time.CLOCK_BOOTTIME)}\n")
        new.rename(state)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
