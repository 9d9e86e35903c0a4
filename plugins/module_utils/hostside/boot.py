"""What a host says of its own reboot: whether others do its work meanwhile, which boot this is, when all of it is back.

spec: root, operation, and
    foresee  before, services: [{ready, spare}]   {before, rebooted, machine_id}: the boot to get out of, and whether it
             has; HostError where the cluster can't do without this host
    settle   before, components, kubelet, seconds {booted, since}: it has rebooted, and all its components answer
`before` may be empty: to foresee, this boot then; to settle, whether or not it has rebooted. `ready` and `spare` are as
the component's own; `components` as hostside/verify_host.py has them; `booted` and `since` are when the host and its
unit `kubelet` were started, in seconds since the epoch, the latter null where that is null.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, NamedTuple, Optional

from . import units
from .answers import Answer
from .errors import HostError
from .files import read
from .host import Host
from .spare import check_spare
from .verify_host import component_problems
from .waiting import pause

PAUSE = 0.5
# Nobody joins by this run: who does not answer at once is not there.
SPARE_SECONDS = 5


class Foreseen(NamedTuple):
    before: str
    rebooted: bool
    machine_id: str


class Settled(NamedTuple):
    booted: float
    since: Optional[float]


ANSWERS = {"foresee": Answer(Foreseen, reads=True), "settle": Answer(Settled)}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host = Host(spec.get("root", "/"))
    return foresee(host, spec) if spec["operation"] == "foresee" else settle(host, spec)


def foresee(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    now = boot(host)
    before = spec["before"] or now
    for service in spec["services"] if before == now else []:
        check_spare(host, service["spare"], service["ready"], SPARE_SECONDS)
    machine_id = (read(host.path("/etc/machine-id")) or "").strip()
    return {"before": before, "rebooted": before != now, "machine_id": machine_id}


def boot(host: Host) -> str:
    """Another one after each boot. A container has its machine's boot id; what begins anew is its first process."""
    machine = (read(host.path("/proc/sys/kernel/random/boot_id")) or "").strip()
    return f"{machine} {_ticks(host)}"


def _ticks(host: Host) -> int:
    """When the first process was started, in the kernel's ticks since it was itself."""
    # The name in parentheses may hold anything: the fields after it begin behind the last one.
    return int((read(host.path("/proc/1/stat")) or "").rpartition(")")[2].split()[19])


def settle(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    if spec["before"] and boot(host) == spec["before"]:
        raise HostError("it answers, and has not rebooted: it goes on as before")
    deadline = time.monotonic() + spec["seconds"]
    while problems := _problems(host, spec["components"]):
        if time.monotonic() > deadline:
            raise HostError(f"after {spec['seconds']:.0f} s this host does not do its work: {'; '.join(problems)}")
        pause(PAUSE)
    since = units.started_at(units.show(host, spec["kubelet"])) if spec["kubelet"] else None
    up = time.clock_gettime(time.CLOCK_BOOTTIME) - _ticks(host) / os.sysconf("SC_CLK_TCK")
    return {"booted": time.time() - up, "since": since}


def _problems(host: Host, components: List[Dict[str, Any]]) -> List[str]:
    return [f"{one['check']}: {problem}" for one in components for problem in component_problems(host, one)]
