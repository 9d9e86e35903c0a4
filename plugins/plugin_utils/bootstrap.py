"""The first start of a service whose members begin together, as etcd's do: all of them, or none.

Members that don't answer, or that `--limit` leaves out, could be a living cluster: nothing begins without them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail

SECONDS = 30
PAUSE = 0.05
REMEDY = 'Mount or restore the data. If it is lost, see "Recover from loss of quorum" in docs/operations.md'


def begin_together(
    component: str, host: str, members: Collection[str], present: Collection[str], state: dict[str, Any]
) -> bool:
    """Tell the others of this run how this member is, and refuse where it must not begin. Members with data may go on.

    True if this member has no data and another one has: it takes part in a bootstrap that an earlier run has begun.
    `present` are the hosts that take part in this run; `state` is {data: path of what it has not got, empty when it has
    it; worked: whether it was ever seen ready}. For a cluster that bears no mark of having been formed.
    """
    place = Path(constants.DEFAULT_LOCAL_TMP)
    _tell(place / f"begins-{component}-{host}", state)
    if not state["data"]:
        return False
    absent = [name for name in members if name not in present]
    if absent:
        raise AnsibleActionFail(
            f"{component} has no data yet, and its members begin together: {', '.join(absent)} {_are(absent)} not part"
            " of this run, by --limit or since they do not answer, and could be a living cluster. Nothing was changed."
            " Run it for all members"
        )
    if state["worked"]:
        raise AnsibleActionFail(
            f"{state['data']} is gone from this host, where {component} has worked: it would begin a second, empty"
            f" cluster. Nothing was changed. {REMEDY}"
        )
    known = _heard(place, component, members)
    empty = [name for name in members if known[name]["data"]]
    worked = [name for name in members if known[name]["worked"]]
    if worked and len(empty) > (len(members) - 1) // 2:
        raise AnsibleActionFail(
            f"{component} has worked on {', '.join(worked)}, and {', '.join(empty)} {_are(empty)} without data: too"
            " many for that cluster, and enough to begin a second one. Nothing was changed."
            f" {REMEDY}"
        )
    return len(empty) < len(members)


def _are(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _tell(file: Path, state: dict[str, Any]) -> None:
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps(state))
    new.rename(file)


def _heard(place: Path, component: str, members: Collection[str]) -> dict[str, dict[str, Any]]:
    """What all members told; they are compared at the same time."""
    files = {name: place / f"begins-{component}-{name}" for name in members}
    deadline = time.monotonic() + SECONDS
    while silent := [name for name, file in files.items() if not file.exists()]:
        if time.monotonic() > deadline:
            raise AnsibleActionFail(
                f"{component} begins on all its members together, and within {SECONDS} s nothing was heard of"
                f" {', '.join(silent)}. Nothing was changed. Mend them, and let --forks be {len(members)} or more"
            )
        time.sleep(PAUSE)
    return {name: json.loads(file.read_text()) for name, file in files.items()}
