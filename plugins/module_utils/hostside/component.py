"""Makes one component of a host so: compare first, touching nothing; then apply; or remove it again.

The action plugin sends the same spec for `compare`, `request` (keys for certificates it will sign) and `apply`:

    operation, root, name, user, packages, kernel_modules, sysctls, unit (name or None), ready
    directories   [{path, owner, group, mode}]
    binaries      [{name, version, dest, digests: {architecture: sha256}}]
    certificates  [{name, certificate, key, owner}]
    files         [{dest, content, owner, group, mode, secret, restart, only_if_missing, after_ready}], the unit's
    among them
    images        [{reference}]
For apply also `delivered` {digest: path}, `signed` {certificate name: PEM}, `archives` {reference: path}.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from . import binaries, certificates, files, images, system, units
from .host import Host
from .ready import wait
from .record import DIRECTORY, Record
from .removal import remove


def main(spec: dict[str, Any]) -> dict[str, Any]:
    host = Host(spec.get("root", "/"))
    operations = {"compare": compare, "request": request, "apply": apply, "remove": remove}
    return operations[spec["operation"]](host, spec)


def compare(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Everything that differs from the spec. Nothing is touched.

    Returns {architecture, changes: [difference], certificates: {name: what is there}, needs: {binaries, images},
    unit: {living, enabled, why}, bootstraps: [data that does not exist yet]}.
    """
    record = Record(host, spec["name"])
    changes = _system_changes(host, spec)
    changes += [change for item in spec["directories"] if (change := files.compare_directory(host, item))]
    programs = binaries.compare(host, spec["binaries"])
    changes += programs
    considered = _considered(host, spec)
    changes += [change for item in considered if (change := files.compare_file(host, item))]
    gone = _no_longer_wanted(host, spec, record)
    changes += [{"kind": "file", "path": path, "before": files.read(host.path(path)), "after": None} for path in gone]
    pictures = _missing_images(spec)
    changes += [system.describe("image", item["reference"], "missing", "loaded") for item in pictures]
    found = {item["name"]: certificates.look(host, item) for item in spec["certificates"]}
    return {
        "architecture": host.architecture,
        "changes": changes,
        "certificates": found,
        "needs": {"binaries": programs, "images": [item["reference"] for item in pictures]},
        "unit": _unit_state(host, spec, record),
        "bootstraps": [
            item["only_if_missing"]
            for item in spec["files"]
            if item.get("only_if_missing") and not os.path.exists(host.path(item["only_if_missing"]))
        ],
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


def _considered(host: Host, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Bootstrap files count only while what they bootstrap is not there."""
    return [
        item
        for item in spec["files"]
        if not item.get("only_if_missing") or not os.path.exists(host.path(item["only_if_missing"]))
    ]


def _no_longer_wanted(host: Host, spec: dict[str, Any], record: Record) -> list[str]:
    wanted = set(_paths(spec))
    return [path for path in record.data["files"] if path not in wanted and os.path.lexists(host.path(path))]


def _missing_images(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Images that nobody can pull: not on the host, and their registry does not answer."""
    if not spec["images"]:
        return []
    there = images.present([item["reference"] for item in spec["images"]])
    missing = [item for item in spec["images"] if item["reference"] not in there]
    return [item for item in missing if not images.registry_answers(item["reference"])]


def _inputs(host: Host, spec: dict[str, Any]) -> dict[str, str | None]:
    """{path: digest wanted} of all the unit is started from; a certificate counts as it is on the disk."""
    wanted: dict[str, str | None] = {
        item["dest"]: hashlib.sha256(item["content"].encode()).hexdigest()
        for item in spec["files"]
        if item.get("restart", True) and not item.get("only_if_missing") and not item.get("after_ready")
    }
    for item in spec["binaries"]:
        wanted[item["dest"]] = binaries.wanted_digest(item, host.architecture)
    for item in spec["certificates"]:
        wanted[item["certificate"]] = files.digest_of(host.path(item["certificate"]))
    return wanted


def _digest(inputs: dict[str, str | None]) -> str | None:
    if None in inputs.values():
        return None
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _unit_state(host: Host, spec: dict[str, Any], record: Record) -> dict[str, Any] | None:
    if not spec["unit"]:
        return None
    state, inputs = units.show(host, spec["unit"]), _inputs(host, spec)
    paths = [host.path(path) for path in inputs]
    return {
        "living": units.living(state),
        "enabled": state.get("UnitFileState") == "enabled",
        "why": units.why_restart(state, record.data.get("stamp", {}), _digest(inputs), paths),
    }


def request(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Signing requests {certificate name: PEM} for `renew`, with new keys waiting beside the old ones."""
    with host.lock(f"keys of {spec['name']}"):
        _prepare(host, spec)
        return {
            item["name"]: certificates.request(host, item)
            for item in spec["certificates"]
            if item["name"] in spec["renew"]
        }


def _prepare(host: Host, spec: dict[str, Any]) -> Record:
    """What keys and files need before they can be written: packages (openssl), the user, directories. All of it
    recorded.
    """
    record = Record(host, spec["name"])
    missing = system.missing_packages(host, spec["packages"])
    if missing:
        system.install_packages(host, missing)
    if spec["user"] and system.make_user(host, spec["user"]):
        record.data["user"] = spec["user"]
        record.save()
    for item in spec["directories"]:
        if files.compare_directory(host, item):
            record.add("directories", files.make_directory(host, item))
    for path in _paths(spec):
        record.add("directories", files.make_parents(host, os.path.dirname(path)))
    record.save()
    return record


def _paths(spec: dict[str, Any]) -> list[str]:
    """Every path a present component may own."""
    paths = [item["dest"] for item in spec["files"]] + [item["dest"] for item in spec["binaries"]]
    return paths + certificates.paths(spec["certificates"])


def apply(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Make it so, and wait until it works. Returns {restarted: why or None, invocation}."""
    try:
        with host.lock(f"apply {spec['name']}"):
            return {"restarted": _apply(host, spec)}
    finally:
        _clear_delivery(spec["delivered"])


def _apply(host: Host, spec: dict[str, Any]) -> str | None:
    record = _prepare(host, spec)
    changed = [item for item in _considered(host, spec) if files.compare_file(host, item)]
    _remember(host, spec, record, changed)
    _settle_system(host, spec)
    for change in binaries.compare(host, spec["binaries"]):
        item = next(item for item in spec["binaries"] if item["dest"] == change["path"])
        binaries.install(host, item, spec["delivered"].get(change["after"]))
    for item in spec["certificates"]:
        signed = spec["signed"].get(item["name"])
        if signed or not certificates.look(host, item)["attributes"]:
            certificates.install(host, item, signed)
    for item in changed:
        if not item.get("after_ready"):
            files.write_file(host, item)
    for path in _no_longer_wanted(host, spec, record):
        files.remove_file(host.path(path))
    unit_changed = any(os.path.basename(item["dest"]) == spec["unit"] for item in changed)
    restarted = _start(host, spec, record, unit_changed)
    for item in changed:
        if item.get("after_ready"):
            files.write_file(host, item)
    for archive in spec["archives"].values():
        images.load(archive)
        files.remove_file(archive)
    wanted = _paths(spec)
    record.data["files"] = [path for path in record.data["files"] if path in wanted]
    record.data["versions"] = {item["name"]: item["version"] for item in spec["binaries"]}
    record.save()
    return restarted


def _clear_delivery(delivered: dict[str, str]) -> None:
    for path in delivered.values():
        files.remove_file(path)
    for directory in {os.path.dirname(path) for path in delivered.values()}:
        if os.path.isdir(directory) and not os.listdir(directory):
            os.rmdir(directory)


def _remember(host: Host, spec: dict[str, Any], record: Record, changed: list[dict[str, Any]]) -> None:
    """Record what is about to be written before it is, so that a reset finds it even after a kill."""
    ours = set(record.data["files"])
    about_to = [item["dest"] for item in changed] + [item["dest"] for item in spec["binaries"]]
    about_to += certificates.paths(spec["certificates"])
    for path in about_to:
        if path not in ours and os.path.lexists(host.path(path)) and path not in record.data["originals"]:
            kept = f"{DIRECTORY}/originals{path}"
            files.keep_original(host, path, kept)
            record.data["originals"][path] = kept
    record.add("files", about_to)
    for name, value in system.differing_sysctls(host, spec["sysctls"]).items():
        record.data["sysctls"].setdefault(name, value)
    record.data["unit"] = spec["unit"]
    record.save()


def _settle_system(host: Host, spec: dict[str, Any]) -> None:
    system.load_modules(host, system.missing_modules(host, spec["kernel_modules"]))
    for name in system.differing_sysctls(host, spec["sysctls"]):
        system.write_sysctl(host, name, str(spec["sysctls"][name]))


def _start(host: Host, spec: dict[str, Any], record: Record, unit_changed: bool) -> str | None:
    """Start or restart the unit if it has to be, and stamp it with what it was started from once it is ready."""
    unit = spec["unit"]
    if not unit:
        return None
    if units.show(host, unit).get("NeedDaemonReload") == "yes" or unit_changed:
        units.daemon_reload(host)
    state, inputs = units.show(host, unit), _inputs(host, spec)
    if state.get("UnitFileState") != "enabled":
        units.enable(host, unit)
    digest = _digest(inputs)
    why = units.why_restart(state, record.data.get("stamp", {}), digest, [host.path(path) for path in inputs])
    if why is None:
        return None
    units.start(host, unit, restart=units.living(state))
    invocation = wait(host, unit, spec["ready"], state.get("InvocationID", ""))
    record.data["stamp"] = {"inputs": digest, "invocation": invocation}
    return why
