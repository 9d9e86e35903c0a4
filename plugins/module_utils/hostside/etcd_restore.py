"""A snapshot of etcd made the store of this member again, step by step; the steps of all members go together.

spec: root, operation and
    look      nothing more: the host answers
    revision  what hostside/etcd_revisions.py has
    stage     snapshot (path), sha256, authority (PEM), name, address, members {name: address}, token, target
              Proves the snapshot and restores it beside the living store, at the revision `target` or above its own;
              {revision, keys, target}
    stop      unit
    swap      kept (path): where the store until now goes; {kept: that path, or "" where there was none}
    start     unit: begins to start it, and does not wait
    wait      waits until this member serves, with the quorum of all
    ready     unit, ready: starts it, and waits as hostside/ready.py has it
    put_back  kept: the store as it was before swap
    settle    like wait, and ends well also where it does not serve; {problem}
    finish    kept: what stood for a store that was not there goes
    inspect   kept: {data: which store is in place after an interrupted restore, as inspect() has it}
    complete  kept, forward: has the restored store in place, or the one before; etcd is started if that changes it
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Any, Dict, Literal, NamedTuple

from . import etcd_revisions, files, units
from .answers import Answer, Nothing
from .errors import HostError
from .etcd_backup import probe
from .etcd_proof import OVERHEAD, enough_space, foreign, prove, restore, workplace
from .host import Host
from .ready import FLAPPING
from .ready import wait as wait_ready

HOME = "/var/lib/etcd"
DATA = f"{HOME}/default.etcd"
STAGED = f"{HOME}/restored.etcd"
UNIT = "etcd.service"
SECONDS = 180
# As kubeinstall/restores.py has it.
MARGIN = 10**9


class Staged(NamedTuple):
    revision: int
    keys: int
    target: int


class Swapped(NamedTuple):
    kept: str


class Settled(NamedTuple):
    problem: str


class Inspected(NamedTuple):
    data: Literal["restored", "staged", "half", "before"]


ANSWERS = {
    **dict.fromkeys(
        ("look", "stop", "start", "wait", "ready", "put_back", "finish", "complete"), Answer(Nothing, seconds=900)
    ),
    "revision": Answer(etcd_revisions.Looked, seconds=900),
    "inspect": Answer(Inspected, seconds=900),
    "stage": Answer(Staged, seconds=900),
    "swap": Answer(Swapped, seconds=900),
    "settle": Answer(Settled, seconds=900),
}


def main(spec: Dict[str, Any]) -> Dict[str, Any]:
    host, operation = Host(spec.get("root", "/")), spec["operation"]
    if operation == "stage":
        return stage(host, spec)
    if operation == "revision":
        return etcd_revisions.look(host, HOME, UNIT)
    if operation == "inspect":
        return {"data": inspect(host, spec["kept"])}
    if operation == "stop":
        host.run(["systemctl", "stop", spec["unit"]], timeout=SECONDS)
    elif operation == "swap":
        return {"kept": swap(host, spec["kept"])}
    elif operation == "start":
        units.start(host, spec["unit"], restart=False)
    elif operation == "wait":
        wait(host)
    elif operation == "ready":
        before = units.show(host, spec["unit"])
        if not units.running(before):
            units.start(host, spec["unit"], restart=False)
            wait_ready(host, spec["unit"], spec["ready"], before.get("InvocationID", ""))
    elif operation == "put_back":
        put_back(host, spec["kept"])
    elif operation == "settle":
        return {"problem": settle(host)}
    elif operation == "finish":
        _forget_empty(host.path(spec["kept"]))
    elif operation == "complete":
        complete(host, spec["kept"], forward=spec["forward"])
    return {}


def stage(host: Host, spec: Dict[str, Any]) -> Dict[str, Any]:
    """Everything that may go wrong with a snapshot goes wrong here, while the store that lives goes on."""
    try:
        if not os.path.isdir(host.path(HOME)):
            raise HostError(f"{HOME} is not on this host: install the member first (kubeinstall apply)")
        size = os.path.getsize(spec["snapshot"])
        with workplace(host, 2 * size + OVERHEAD) as work:
            snapshot = f"{work}/snapshot.db"
            shutil.move(spec["snapshot"], snapshot)
            if files.digest_of(snapshot) != spec["sha256"]:
                raise HostError("the snapshot did not arrive as it was sent: run the same command again")
            found = prove(host, snapshot)
            problem = foreign(found, spec["authority"])
            if problem:
                raise HostError(f"{problem}. Nothing was changed")
            enough_space(host.path(HOME), size + OVERHEAD)
            staged = host.path(STAGED)
            shutil.rmtree(staged, ignore_errors=True)
            # The same on all members: it depends on the snapshot alone.
            target = max(spec["target"], found["revision"] + MARGIN)
            restore(host, snapshot, staged, *_as_member(spec, target - found["revision"]))
            reached = etcd_revisions.of_database(host, f"{staged}/{etcd_revisions.DATABASE}")
            if reached <= target - MARGIN:
                shutil.rmtree(staged)
                raise HostError(f"the restored store is at revision {reached}, below {target}. Nothing was changed")
            owner = os.stat(host.path(HOME))
            files.give_tree(staged, owner.st_uid, owner.st_gid)
    finally:
        files.clear_delivery([spec["snapshot"]])
    return {"revision": found["revision"], "keys": found["keys"], "target": target}


def _as_member(spec: Dict[str, Any], bump: int) -> "list[str]":
    """The options that make the snapshot this member's store.

    Revisions go `bump` beyond the snapshot's, and those before are marked as gone: every client that watches has to
    list anew, instead of taking what comes for a continuation of what it saw before.
    """
    peers = ",".join(f"{name}=https://{address}:2380" for name, address in spec["members"].items())
    return [
        *("--name", spec["name"], "--initial-advertise-peer-urls", f"https://{spec['address']}:2380"),
        *("--initial-cluster", peers, "--initial-cluster-token", spec["token"]),
        *("--bump-revision", str(bump), "--mark-compacted"),
    ]


def swap(host: Host, kept: str) -> str:
    staged, data = host.path(STAGED), host.path(DATA)
    if not os.path.isdir(staged):
        raise HostError(f"{STAGED} is not there any more: run the same command again")
    there = os.path.isdir(data)
    if there:
        os.rename(data, host.path(kept))
    elif not os.path.isdir(host.path(kept)):
        os.mkdir(host.path(kept))  # what put_back() goes by
    files.sync_directory(data)
    os.rename(staged, data)
    files.sync_directory(data)
    return kept if os.listdir(host.path(kept)) else ""


def put_back(host: Host, kept: str) -> None:
    """The old store where swap() has moved it. No client has seen the restored one: it can go."""
    data, old = host.path(DATA), host.path(kept)
    if os.path.isdir(old):
        _stop(host)
        shutil.rmtree(data, ignore_errors=True)
        os.rename(old, data)
        _forget_empty(data)
        files.sync_directory(data)
    shutil.rmtree(host.path(STAGED), ignore_errors=True)
    if os.path.isdir(data):
        units.start(host, UNIT, restart=False)


def _stop(host: Host) -> None:
    host.run(["systemctl", "stop", UNIT], timeout=SECONDS)


def inspect(host: Host, kept: str) -> str:
    """restored: it is in place. staged: it is beside the store before. half: between the two renames. before: there is
    only the store before.
    """
    old = os.path.isdir(host.path(kept))
    if os.path.isdir(host.path(STAGED)):
        return "half" if old else "staged"
    return "restored" if old else "before"


def complete(host: Host, kept: str, *, forward: bool) -> None:
    """The same store on all members, whichever steps a run was killed in."""
    if not forward:
        put_back(host, kept)
    elif os.path.isdir(host.path(STAGED)):
        _stop(host)
        swap(host, kept)
        units.start(host, UNIT, restart=False)


def _forget_empty(directory: str) -> None:
    """Stands for a store that was not there."""
    if os.path.isdir(directory) and not os.listdir(directory):
        os.rmdir(directory)


def wait(host: Host) -> None:
    deadline, first = time.monotonic() + SECONDS, _restarts(host)
    while True:
        problem = probe(host)["problem"]
        if not problem:
            return
        exited = _restarts(host) - first >= FLAPPING
        if exited or time.monotonic() > deadline:
            raise units.failure(host, UNIT, f"does not serve: {problem}", exited=exited)
        time.sleep(0.3)


def settle(host: Host) -> str:
    try:
        wait(host)
    except HostError as error:
        return str(error)
    return ""


def _restarts(host: Host) -> int:
    return int(units.show(host, UNIT).get("NRestarts") or 0)
