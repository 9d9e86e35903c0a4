"""One host at a time, and none after a failure: for whatever restarts a living service."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleActionFail


@contextlib.contextmanager
def turn(component: str, host: str) -> Iterator[None]:
    """Wait until no other host of this run restarts `component`. Where one has failed, this host is left as it is.

    Ansible's `throttle` would make hosts with nothing to do wait too, and goes on after a failure. The lock is a
    file in the
    run's own temporary directory, which all its workers share.
    """
    with (Path(constants.DEFAULT_LOCAL_TMP) / f"turn-{component}").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        failed = handle.read()
        if failed:
            raise AnsibleActionFail(f"{component} was not restarted: {failed} failed before it")
        try:
            yield
        except BaseException:
            handle.write(host)
            handle.flush()
            raise
