"""Ends the containers of a host's pods without kubelet: for a reset, or because kubelet does not report."""

from __future__ import annotations

import glob
import os
import signal
import time
from typing import Any, List, NamedTuple

from . import units
from .answers import Answer
from .engines import CONTAINERD, DOCKER, end_docker_pods
from .errors import HostError
from .files import read
from .host import Host
from .processes import descendants
from .record import Record, recorded

SHIM = "containerd-shim-runc-v2"
SECONDS = 30


class Ended(NamedTuple):
    removed: List[str]


ANSWERS = {"main": Answer(Ended, seconds=600)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Stop and disable kubelet, which would start them again, and end all containers of pods; {removed: [what]}.

    spec: root, check
    """
    host, check = Host(spec.get("root", "/")), bool(spec["check"])
    records = {name: Record(host, name) for name in recorded(host)}
    with host.acting("end pods", check=check):
        if CONTAINERD not in records and (running := _shims()):
            raise HostError(
                f"containers of pods run here (processes {', '.join(map(str, running))}), and there is no record of the"
                " container runtime in /var/lib/kubeinstall. They were not ended, because their owner is unknown. End"
                " them or power the host off, and run the same command again"
            )
        unit = records["kubelet"].data.get("unit") if "kubelet" in records else None
        if unit and not check:
            units.stop(host, unit)
        return {"removed": end(host, records, check)}


def end(host: Host, records: dict[str, Record], check: bool) -> list[str]:
    """End all containers that Kubernetes runs, and remove their network namespaces."""
    removed = []
    if CONTAINERD in records:
        removed += _containerd_pods(host, check)
    if DOCKER in records and records[DOCKER].data.get("unit"):
        start_engine(host, records[DOCKER], check)
        count = end_docker_pods(host, check=check)
        removed += [f"{count} containers of pods"] if count else []
    return removed


def _containerd_pods(host: Host, check: bool) -> list[str]:
    shims = _shims()
    removed = [f"{len(shims)} running pods"] if shims else []
    if check:
        return removed
    deadline = time.monotonic() + SECONDS
    while shims:
        for pid in _with_descendants(shims):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise HostError(f"the containers of {len(shims)} pods do not end: processes {', '.join(map(str, shims))}")
        time.sleep(0.05)
        shims = _shims()
    unmount(host, "/run/netns/cni-")
    for path in glob.glob(host.path("/run/netns/cni-*")):
        os.unlink(path)
    remove_empty(host, ["/run/netns"])
    return removed


def _shims() -> list[int]:
    """The processes that stand above the containers of pods; not those of a host that is a container on this one."""
    ours, found = os.readlink("/proc/self/ns/pid"), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as handle:
                words = handle.read().decode(errors="replace").split("\0")
            if os.path.basename(words[0]) == SHIM and "k8s.io" in words and os.readlink(f"/proc/{name}/ns/pid") == ours:
                found.append(int(name))
        except OSError:
            continue
    return found


def _with_descendants(pids: list[int]) -> list[int]:
    """The processes below `pids`, and after them `pids` themselves."""
    return [*descendants(pids), *pids]


def start_engine(host: Host, record: Record, check: bool) -> None:
    """What is in an engine is asked of the engine itself."""
    unit = record.data.get("unit")
    if unit and not check and not units.running(units.show(host, unit)):
        host.run(["systemctl", "start", unit], check=False, timeout=90)


def mounts(prefix: str) -> list[str]:
    """What is mounted at paths that begin so, innermost first."""
    points = [line.split()[1] for line in (read("/proc/self/mounts") or "").splitlines()]
    plain = [point.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace") for point in points]
    return sorted((point for point in plain if point.startswith(prefix)), reverse=True)


def unmount(host: Host, prefix: str) -> None:
    """Volumes may be anybody's data: nothing below a folder is removed while something is still mounted there."""
    while points := mounts(host.path(prefix)):
        host.run(["umount", "--lazy", points[0]], check=False)
        if mounts(host.path(prefix)) == points:
            raise HostError(f"{points[0]} can't be unmounted, so nothing there was removed: unmount it and run again")


def remove_empty(host: Host, directories: list[str]) -> None:
    """Folders that several components shared, recorded by the one that came first; never one that is mounted."""
    for path in sorted(set(directories), reverse=True):
        full = host.path(path)
        if os.path.isdir(full) and not os.path.ismount(full) and not os.listdir(full):
            os.rmdir(full)
