"""Compares a component with what is on the host. Nothing is touched."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from . import binaries, certificates, files, system, units
from .host import Host
from .record import Record, every_path, recorded


def compare(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Everything that differs from the spec. Nothing is touched.

    Returns {architecture, changes: [difference], certificates: {name: what is there}, needs: {binaries, images},
    unit: {living, enabled, why, reload}, bootstraps: [data that does not exist yet], worked: was its unit ever ready,
    replaces: [component that is on the host still]}.
    `why` the unit has to be started again, `reload` why it has to read its files again; one of them at most.
    """
    record = Record(host, spec["name"])
    changes = _system_changes(host, spec)
    changes += [change for item in spec["directories"] if (change := files.compare_directory(host, item))]
    programs = binaries.compare(host, spec["binaries"])
    changes += programs
    changes += [change for item in considered(host, spec) if (change := files.compare_file(host, item))]
    changes += [files.left_over(host, path) for path in no_longer_wanted(host, spec, record)]
    pictures = missing_images(spec)
    # One that is pinned by its digest can only be pulled.
    made = [item for item in pictures if "@" not in item["reference"]]
    changes += [system.describe("image", item["reference"], "missing", "loaded") for item in made]
    unit = _unit_state(host, spec, record)
    if unit and unit["living"] and spec.get("etcd_clusters"):
        from . import etcd

        etcd.refuse_another(host, spec["etcd_clusters"])
    found = {item["name"]: certificates.look(host, item) for item in spec["certificates"]}
    return {
        "architecture": host.architecture,
        "changes": changes,
        "certificates": found,
        "needs": {"binaries": programs, "images": [item["reference"] for item in pictures]},
        "unit": unit,
        "bootstraps": [
            item["only_if_missing"]
            for item in spec["files"]
            if item.get("only_if_missing") and not os.path.exists(host.path(item["only_if_missing"]))
        ],
        "worked": bool(record.data.get("stamp")),
        "replaces": [name for name in spec.get("replaces", []) if Record(host, name).exists],
    }


def _system_changes(host: Host, spec: dict[str, Any]) -> list[dict[str, Any]]:
    changes = []
    if spec["user"] and host.uid(spec["user"]) is None:
        changes.append(system.describe("user", spec["user"], "missing", "made"))
    for name in system.missing_packages(host, spec["packages"]):
        changes.append(system.describe("package", name, "missing", "installed"))
    for name in system.missing_modules(host, spec["kernel_modules"]):
        changes.append(system.describe("kernel module", name, "missing", "loaded"))
    for name, value in system.differing_sysctls(host, spec["sysctls"]).items():
        changes.append(system.describe("sysctl", name, value, spec["sysctls"][name]))
    return changes


def considered(host: Host, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Bootstrap files count only while what they bootstrap is not there."""
    return [
        item
        for item in spec["files"]
        if not item.get("only_if_missing") or not os.path.exists(host.path(item["only_if_missing"]))
    ]


def no_longer_wanted(host: Host, spec: dict[str, Any], record: Record) -> list[str]:
    """Files of the record that are left over; what another component has too is not."""
    wanted = set(paths(spec))
    left = [path for path in record.data["files"] if path not in wanted and os.path.lexists(host.path(path))]
    if not left:
        return []
    others = every_path(host, [name for name in recorded(host) if name != spec["name"]])
    return [path for path in left if path not in others]


def missing_images(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Images that nobody can pull: not on the host, and their registry does not answer."""
    if not spec["images"]:
        return []
    from . import images

    there = images.present([item["reference"] for item in spec["images"]], spec["name"])
    missing = [item for item in spec["images"] if item["reference"] not in there]
    return [item for item in missing if not images.registry_answers(item["reference"])]


def inputs(host: Host, spec: dict[str, Any]) -> dict[str, str | None]:
    """{path: digest wanted} of all the unit is started from; a certificate counts as it is on the disk.

    One that the running unit reads again by itself does not count.
    """
    wanted: dict[str, str | None] = {
        item["dest"]: hashlib.sha256(item["content"].encode()).hexdigest()
        for item in spec["files"]
        if read_at_start(item) and not item.get("reload")
    }
    for item in spec["binaries"]:
        wanted[item["dest"]] = binaries.wanted_digest(item, host.architecture)
    for item in spec["certificates"]:
        if item.get("reload", "never") != "never":
            continue
        wanted[item["certificate"]] = files.digest_of(host.path(item["certificate"]))
    return wanted


def read_at_start(item: dict[str, Any]) -> bool:
    return bool(item.get("restart", True) and not item.get("only_if_missing") and not item.get("after_ready"))


def reloaded(spec: dict[str, Any]) -> dict[str, str | None]:
    """{path: digest wanted} of what the unit reads again when it is told to."""
    return {
        item["dest"]: hashlib.sha256(item["content"].encode()).hexdigest()
        for item in spec["files"]
        if read_at_start(item) and item.get("reload")
    }


def digest(inputs: dict[str, str | None]) -> str | None:
    if None in inputs.values():
        return None
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _unit_state(host: Host, spec: dict[str, Any], record: Record) -> dict[str, Any] | None:
    if not spec["unit"]:
        return None
    state, stamp = units.show(host, spec["unit"]), record.data.get("stamp", {})
    wanted = inputs(host, spec)
    why = units.why_restart(state, stamp, digest(wanted), [host.path(path) for path in wanted])
    differ = any(files.compare_file(host, item) for item in spec["files"] if item.get("reload"))
    return {
        "living": units.living(state),
        "enabled": state.get("UnitFileState") == "enabled",
        "why": why,
        "reload": None if why else why_reload(host, spec, state, stamp, differ),
    }


def why_reload(
    host: Host, spec: dict[str, Any], state: dict[str, str], stamp: dict[str, Any], differ: bool
) -> str | None:
    """Why a unit that runs has to read its files again; `differ`: one of them is not as wanted, or was not until now.

    A file changed and read by hand counts too: the unit's invocation does not tell of that.
    """
    wanted = reloaded(spec)
    if wanted and (differ or stamp.get("reload") != digest(wanted)):
        return "what it reads has changed"
    return units.why_since_start(state, stamp, [host.path(path) for path in wanted])


def paths(spec: dict[str, Any]) -> list[str]:
    """Every path a present component may own."""
    paths = [item["dest"] for item in spec["files"]] + [item["dest"] for item in spec["binaries"]]
    return paths + certificates.paths(spec["certificates"])
