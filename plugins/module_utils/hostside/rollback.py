"""What a unit ran with before a change: kept until it is ready with the change, and restored where it is not.

Each file gets a second name beside its own, so that nothing is copied and a full disk is no obstacle. The record lists
them as `former` before the first one is replaced:
    files  {path: whether there was a file}
    stamp  the unit's stamp as the record had it
An interrupted run leaves them. They are of the last configuration that worked, so the next run adds to them.
"""

from __future__ import annotations

import copy
import os
from typing import Any, Sequence

from . import units
from .errors import HostError
from .files import remove_file, sync_directory, temporary_name, write_error
from .host import Host
from .ready import ROLLING, wait
from .record import Record, former_name
from .spare import serves


def keep(host: Host, spec: dict[str, Any], record: Record, paths: Sequence[str]) -> str:
    """Keep these files where the unit works with them. The caller saves the record before it touches any of them.

    Returns what is to be said where nothing was kept and the change fails.
    """
    former = record.data.pop("former", None)
    if not _whole(host, former):
        _removed(host, former)
        former = None
    if former is None and not (paths and record.data.get("stamp")):
        return ""
    if _is_one_way(spec, record):
        _removed(host, former)
        return "\nThe former version was not restored, for the new one may have changed its data."
    if former is None:
        if not _works(host, spec, record):
            return "\nIts former configuration was not restored, for it was not ready with that one either."
        former = {"files": {}, "stamp": copy.deepcopy(record.data["stamp"])}
    for path in paths:
        # What is missing by hand would be missed by the former configuration too.
        if path not in former["files"] and (_kept(host.path(path)) or path not in record.data["files"]):
            former["files"][path] = os.path.lexists(former_name(host.path(path)))
    record.data["former"] = former
    return ""


def forget(host: Host, record: Record) -> None:
    """The change works. The record is saved first: what an interruption leaves then counts for nothing."""
    former = record.data.pop("former", None)
    record.save()
    _removed(host, former)


def undo(host: Host, spec: dict[str, Any], record: Record, before: dict[str, str], failure: HostError) -> HostError:
    """Restore what was kept and start the unit with it; `before` is its state before the change. Returns the error."""
    unit, former = spec["unit"], record.data["former"]
    try:
        for path, existed in former["files"].items():
            _restore(host.path(path), existed=existed)
        record.data["stamp"] = copy.deepcopy(former["stamp"])
        units.daemon_reload(host)
        state = units.show(host, unit)
        if units.running(state) and state.get("InvocationID") == before.get("InvocationID"):
            # It was not restarted; where it was told to read its files again, it reads the former ones.
            if any(item.get("reload") for item in spec["files"]):
                units.reload(host, unit)
        else:
            # Where it does not become ready, the next run restarts it, though it has the former files.
            record.data["stamp"]["inputs"] = None
            units.start(host, unit, restart=units.living(state))
            # Others that use it are not waited for: they may have failed with it.
            ready = {key: value for key, value in spec["ready"].items() if key not in ROLLING}
            invocation = wait(host, unit, ready, state.get("InvocationID", ""))
            record.data["stamp"] = {**former["stamp"], "invocation": invocation}
        forget(host, record)
    except HostError as second:
        record.save()
        first_line = str(second).splitlines()[0]
        return HostError(f"{failure}\nIts former configuration was restored, and does not work either: {first_line}")
    return HostError(f"{failure}\nIts former configuration was restored, and {unit} runs with it.")


def _works(host: Host, spec: dict[str, Any], record: Record) -> bool:
    same = record.data.get("unit") == spec["unit"]
    return same and units.running(units.show(host, spec["unit"])) and serves(host, spec["ready"])


def _is_one_way(spec: dict[str, Any], record: Record) -> bool:
    """Whether the change is one to another minor version of a program whose data the former one may not read then."""
    return bool(spec.get("one_way")) and any(
        _minor(record.data["versions"].get(item["name"], item["version"])) != _minor(item["version"])
        for item in spec["binaries"]
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _removed(host: Host, former: dict[str, Any] | None) -> None:
    for path in former["files"] if former else ():
        remove_file(former_name(host.path(path)))


def _whole(host: Host, former: dict[str, Any] | None) -> bool:
    """Whether all that an interrupted run has kept is there."""
    return former is not None and all(
        os.path.lexists(former_name(host.path(path))) for path, existed in former["files"].items() if existed
    )


def _kept(path: str) -> bool:
    """Give a file its second name. Whether there is a file."""
    name = former_name(path)
    try:
        remove_file(name)
        os.link(path, name, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise write_error(name, error) from None
    return True


def _restore(path: str, *, existed: bool) -> None:
    if not existed:
        remove_file(path)
        return
    temporary = temporary_name(path)
    try:
        remove_file(temporary)
        os.link(former_name(path), temporary, follow_symlinks=False)
        os.rename(temporary, path)
        # A rename of one file's name over another of the same file does nothing.
        remove_file(temporary)
    except OSError as error:
        raise write_error(path, error) from None
    sync_directory(path)
