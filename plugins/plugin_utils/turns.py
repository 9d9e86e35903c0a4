"""Some hosts at a time, and none after a failure: for whatever restarts a living service."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ansible import constants
from ansible.errors import AnsibleActionFail

PAUSE = 0.05


@contextlib.contextmanager
def turn(component: str, host: str, at_once: int = 1, *, first_alone: bool = False) -> Iterator[None]:
    """Wait until fewer than `at_once` other hosts of this run restart `component`. After a failure none does.

    With `first_alone` one host goes by itself, and the others when it is done: what does not work ends there.
    Hosts with different `at_once` wait for their own kind: control planes, one by one, beside nodes in batches.
    Ansible's `throttle` would make hosts with nothing to do wait too, and goes on after a failure. The locks are files
    in the run's own temporary directory, which all its workers share.
    """
    place = Path(constants.DEFAULT_LOCAL_TMP)
    failure = place / f"turn-{component}-failed"
    first = _after_the_first(place, component) if first_alone else contextlib.nullcontext()
    with first, _place_in([place / f"turn-{component}-{at_once}-{number}" for number in range(at_once)]):
        if failure.exists():
            raise AnsibleActionFail(f"{component} was not restarted: {failure.read_text()} failed before it")
        try:
            yield
        except BaseException:
            failure.write_text(host)
            raise


@contextlib.contextmanager
def _after_the_first(place: Path, component: str) -> Iterator[None]:
    tried = place / f"turn-{component}-tried"
    with _place_in([place / f"turn-{component}-first"]):
        if not tried.exists():
            yield
            tried.touch()
            return
    yield


@contextlib.contextmanager
def _place_in(files: list[Path]) -> Iterator[None]:
    """Hold the first of the files that nobody holds."""
    with contextlib.ExitStack() as stack:
        handles = [stack.enter_context(file.open("a")) for file in files]
        while not any(map(_taken, handles)):
            time.sleep(PAUSE)
        yield


def _taken(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
