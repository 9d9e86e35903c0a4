"""systemd: what a unit's state is, whether it runs from the inputs that are there now, starting it, and its journal."""

from __future__ import annotations

import os
import time
from typing import Any, Iterable

from .errors import HostError
from .host import Host

DIRECTORY = "/etc/systemd/system"
# systemd's message on the end of a service, in the service's journal.
EXITED = "Main process exited"
PROPERTIES = (
    "LoadState,ActiveState,SubState,UnitFileState,InvocationID,ExecMainStartTimestampMonotonic,"
    "ActiveEnterTimestampMonotonic,NRestarts,NeedDaemonReload"
)
# systemd's id of the message "Scheduled restart job".
RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b2"
# Restarts that are further apart are single failures.
LOOP_SECONDS = 600


def show(host: Host, unit: str) -> dict[str, str]:
    printed = host.run(["systemctl", "show", unit, f"--property={PROPERTIES}"]).stdout
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


def running(state: dict[str, str]) -> bool:
    return state.get("ActiveState") in ("active", "reloading")


def living(state: dict[str, str]) -> bool:
    """Somebody may depend on it: it runs, or is on its way up."""
    return state.get("ActiveState") in ("active", "reloading", "activating")


def started_at(state: dict[str, str]) -> float:
    """Seconds since the epoch. Reckoned from the monotonic clock: it has microseconds, and steps of the clock don't
    touch it.
    """
    # A timer has no process of its own.
    process, unit = (int(state.get(f"{what}TimestampMonotonic") or 0) for what in ("ExecMainStart", "ActiveEnter"))
    monotonic = (process or unit) / 1e6
    return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic)


def restart_loop(host: Host, unit: str, state: dict[str, str]) -> str:
    """A sentence where systemd restarts the unit again and again; empty otherwise.

    A unit that runs is in a loop until it has run for twice the time between its last two restarts.
    """
    count = int(state.get("NRestarts") or 0)
    if state.get("SubState", "").startswith("auto-restart"):
        return _looping(host, unit, count)
    if not running(state) or count < 2:
        return ""
    since = time.time() - started_at(state)
    if since > 2 * LOOP_SECONDS:
        return ""
    command = ["journalctl", "--no-pager", "--quiet", "--output=short-unix", "--lines=2", f"--unit={unit}"]
    printed = host.run([*command, f"MESSAGE_ID={RESTART_SCHEDULED}"], check=False).stdout
    times = [float(line.split()[0]) for line in printed.splitlines() if line[:1].isdigit()]
    # Without its journal, what has run for a minute is no loop.
    between = times[-1] - times[0] if len(times) == 2 else 30
    return _looping(host, unit, count) if between <= LOOP_SECONDS and since < 2 * between else ""


def _looping(host: Host, unit: str, count: int) -> str:
    times = f"{count} restart{'' if count == 1 else 's'} by systemd"
    return f"{unit} is in a restart loop ({times}): {last_words(host, unit) or 'its journal is empty'}"


def started_by(unit: str) -> str:
    """The service that a timer starts; the unit itself otherwise."""
    stem, _, kind = unit.rpartition(".")
    return f"{stem}.service" if kind == "timer" else unit


def why_restart(state: dict[str, str], stamp: dict[str, Any], inputs: str | None, paths: Iterable[str]) -> str | None:
    """Why the unit has to be started (again), None if it runs from the wanted inputs.

    `inputs` is the digest of what it should have been started from, None if that can't be known yet. A unit that was
    started by someone else since (a reboot, a crash, a hand) is right if nothing it reads was touched after that start.
    """
    if not running(state):
        return "it is not running" if state.get("LoadState") == "loaded" else "it is new"
    if stamp and stamp.get("inputs") is None:
        return "it was not ready after its last start"
    if inputs is None or stamp.get("inputs") != inputs:
        return "what it reads has changed"
    return why_since_start(state, stamp, paths)


def why_since_start(state: dict[str, str], stamp: dict[str, Any], paths: Iterable[str]) -> str | None:
    """Which of the paths a unit that was started by someone else since has not read as it is now."""
    if stamp.get("invocation") == state.get("InvocationID"):
        return None
    start = started_at(state)
    for path in paths:
        if os.path.exists(path) and os.lstat(path).st_ctime > start:
            return f"{path} was changed after it was started"
    return None


def start(host: Host, unit: str, *, restart: bool) -> None:
    """Begin to start or restart: members of one cluster may need each other to become ready, so nothing waits here."""
    host.run(["systemctl", "reset-failed", unit], check=False)
    host.run(["systemctl", "--no-block", "restart" if restart else "start", unit])


def reload(host: Host, unit: str) -> None:
    """Have it read its files again; it goes on from what it had where it refuses them."""
    if host.run(["systemctl", "reload", unit], check=False).returncode != 0:
        raise failure(host, unit, "did not take its changed files, and goes on as before")


def enable(host: Host, unit: str) -> None:
    """Have it start at boot. The caller reloads: systemd remembers what it knew of a unit until then."""
    host.run(["systemctl", "enable", "--no-reload", "--quiet", unit])


def daemon_reload(host: Host) -> None:
    host.run(["systemctl", "daemon-reload"])


def journal(host: Host, unit: str, invocation: str = "", lines: int = 25) -> list[str]:
    """The unit's last lines, of one invocation if that is given."""
    match = (
        [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"]
        if invocation
        else [f"--unit={unit}"]
    )
    printed = host.run(
        ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", *match], check=False
    ).stdout
    return printed.strip().splitlines()


def last_words(host: Host, unit: str) -> str:
    """The last line that the unit's own processes wrote, without what systemd adds."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=1", f"_SYSTEMD_UNIT={unit}"]
    return host.run(command, check=False).stdout.strip()[:400]


def failure(host: Host, unit: str, what: str, *, exited: bool = False) -> HostError:
    """A failure with the last lines of the journal; with `exited` those up to the main process's last exit."""
    lines = up_to_last_exit(journal(host, unit, lines=2000)) if exited else journal(host, unit)
    shown = "\n".join("  " + line[:400] for line in lines) or "  (its journal is empty)"
    return HostError(f"{unit} {what}. The last lines of its journal:\n{shown}")


def up_to_last_exit(lines: list[str], count: int = 25) -> list[str]:
    """The last lines before the main process ended: a next one may have begun to write, its usage for one."""
    exits = [number for number, line in enumerate(lines, 1) if EXITED in line]
    end = exits[-1] if exits else len(lines)
    return lines[max(0, end - count) : end]


def stop(host: Host, unit: str) -> None:
    """And the socket by which a service would be started again, where a package brought one."""
    stem, _, kind = unit.rpartition(".")
    for name in (unit, f"{stem}.socket") if kind == "service" else (unit,):
        if name == unit or show(host, name).get("LoadState") == "loaded":
            host.run(["systemctl", "disable", "--now", "--no-reload", "--quiet", name], check=False, timeout=180)
