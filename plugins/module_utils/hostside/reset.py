"""Takes the whole cluster off a host: what its components' records say is ours, and what ran on top of them.

The records go last: whatever stops a reset half-way, the next one finds what is left.
"""

from __future__ import annotations

import glob
import json
import os
from typing import Any, List, NamedTuple

from . import packetfilter, pods, removal, stored_backups, units
from .answers import Answer
from .engines import CONTAINERD, DOCKER, others_of_docker
from .errors import HostError
from .files import read
from .host import Host
from .record import Record, recorded

# What may hold another's things, by the component that runs on it.
ENGINE_DATA = {CONTAINERD: "/var/lib/containerd", DOCKER: "/var/lib/docker"}
# Those that would put back what is being taken away.
FIRST = ("kubelet", "kube-proxy", "flannel")


class Reset(NamedTuple):
    removed: List[str]
    kept: List[str]
    backups: stored_backups.Summary


# Each unit may take 180 s to stop, and the pods 300 s.
ANSWERS = {"main": Answer(Reset, seconds=1800)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Remove everything; {removed: [what], kept: [what stays, and why], backups: as stored_backups.summary() has it, of
    what stays}. With `check` nothing is touched.

    spec: check, root, backups (a directory), components [{name, remove: [data], remove_links, keep}], first to last;
    those that are not on the host are passed over, and recorded ones that are not named go first. With `alone` nothing
    but the named ones goes; with `unfinished` their records stay, empty: others are to come in their place, and this is
    called again then.
    """
    host = Host(spec.get("root", "/"))
    answer = _reset(host, spec)
    gone = [path for component in spec["components"] for path in component["remove"]]
    directory = spec.get("backups") or ""
    return {**answer, "backups": stored_backups.summary(host, directory if directory not in gone else "")}


def _reset(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    check, there = bool(spec["check"]), recorded(host)
    if not there:
        return {"removed": [], "kept": []}
    named = [component["name"] for component in spec["components"]]
    components = [dict(component) for component in spec["components"] if component["name"] in there]
    records = {name: Record(host, name) for name in there}
    if spec.get("alone"):
        stay = [name for name in there if name not in named]
        records = {name: record for name, record in records.items() if name in named}
        return _alone(host, components, records, stay, spec)
    components = [
        {"name": name, "remove": [], "remove_links": [], "keep": []} for name in there if name not in named
    ] + components
    removed: list[str] = []
    with host.lock("reset"):
        for name in FIRST:
            unit = records[name].data.get("unit") if name in records else None
            if unit and not check:
                units.stop(host, unit)
        removed += pods.end(host, records, check)
        # Who uses an engine besides is seen when the pods are gone.
        kept = _keep_foreign(host, components, records, check)
        removed += _network(host, check)
        if not check:
            for component in components:
                for path in component["remove"]:
                    pods.unmount(host, path + "/")
    for component in components:
        removed += removal.remove(host, {**component, "check": check}, stay=[])["removed"]
    if not check:
        units.daemon_reload(host)
        pods.remove_empty(host, [path for record in records.values() for path in record.data["directories"]])
        _control_groups(host)
    return {"removed": removed, "kept": kept}


def _alone(
    host: Host, components: list[dict[str, Any]], records: dict[str, Record], stay: list[str], spec: dict[str, Any]
) -> dict[str, Any]:
    """An engine goes with the pods that run on it, which others of ours would start anew: kubelet is stopped."""
    check, unfinished = bool(spec["check"]), bool(spec.get("unfinished"))
    engines = {name for name in (CONTAINERD, DOCKER) if name in records and records[name].data.get("unit")}
    if engines and not check:
        units.stop(host, "kubelet.service")
    with host.lock("reset"):
        removed = pods.end(host, records, check) if engines else []
    kept = _keep_foreign(host, [one for one in components if one["name"] in engines], records, check)
    for component in components:
        removed += removal.remove(host, {**component, "check": check, "unfinished": unfinished}, stay)["removed"]
    if removed and not check:
        units.daemon_reload(host)
    return {"removed": removed, "kept": kept}


def _keep_foreign(host: Host, components: list[dict[str, Any]], records: dict[str, Record], check: bool) -> list[str]:
    """An engine's data may be another's too: it goes only if Kubernetes is all there is in it."""
    kept = []
    for component in components:
        data = ENGINE_DATA.get(component["name"], "")
        if data in component["remove"] and os.path.isdir(host.path(data)):
            reason = _foreign(host, records[component["name"]], data, check=check)
            if reason:
                component["remove"] = [path for path in component["remove"] if path != data]
                kept.append(f"{data}: {reason}")
    return kept


def _foreign(host: Host, record: Record, data: str, *, check: bool) -> str | None:
    """Why an engine's data is not ours alone, None if it is."""
    docker = data == ENGINE_DATA[DOCKER]
    # Whatever the engine's folder was before, Docker is what people run containers of their own with.
    if not os.listdir(host.path(data)) or (data in record.data["directories"] and not docker):
        return None
    pods.start_engine(host, record, check)
    try:
        others = others_of_docker(host) if docker else _foreign_namespaces(host)
    except HostError as error:
        return f"who uses it can't be known: {error}"
    return f"it also holds {', '.join(others)}" if others else None


def _foreign_namespaces(host: Host) -> list[str]:
    """Others than ours in which there is something: a Docker Engine that was here leaves an empty one."""

    def ask(*arguments: str) -> list[str]:
        return host.run(["ctr", "--connect-timeout", "5s", *arguments, "--quiet"]).stdout.split()

    others = sorted(set(ask("namespaces", "ls")) - {"k8s.io"})
    return [name for name in others if any(ask("--namespace", name, what, "ls") for what in ("containers", "images"))]


def _control_groups(host: Host) -> None:
    """Empty ones only: a group with a process in it can't be removed."""
    host.run(["systemctl", "stop", "kubepods.slice"], check=False)
    for top in glob.glob(host.path("/sys/fs/cgroup/kubepods*")) + glob.glob(host.path("/sys/fs/cgroup/*/kubepods*")):
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                continue


# Network and mounts


def _network(host: Host, check: bool) -> list[str]:
    """The routes to other nodes' pods, which may go over links that stay (host-gw), and the packet filter rules."""
    removed, network = [], _pod_network(host)
    if network:
        for line in host.run(["ip", "-4", "route", "show", "root", network], check=False).stdout.splitlines():
            words = line.split()
            if "via" in words:
                removed.append(f"route {words[0]}")
                if not check:
                    host.run(["ip", "-4", "route", "delete", words[0]], check=False)
    return removed + packetfilter.clean(host, check=check)


def _pod_network(host: Host) -> str | None:
    text = read(host.path("/etc/flannel/net-conf.json"))
    try:
        return str(json.loads(text)["Network"]) if text else None
    except (ValueError, KeyError):
        return None
