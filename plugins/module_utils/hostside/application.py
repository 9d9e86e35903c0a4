"""Makes a component so: keys first, then everything at once, and waits until it works."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

from . import binaries, certificates, files, rollback, system, units
from .comparison import considered, digest, inputs, no_longer_wanted, paths, reloaded, why_reload
from .errors import HostError
from .host import Host
from .ready import wait
from .record import DIRECTORY, Record, every_path, recorded
from .spare import check_spare


def request(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Signing requests {certificate name: PEM} for `renew`, with new keys waiting beside the old ones."""
    with host.lock(f"keys of {spec['name']}"):
        _prepare(host, spec)
        return {
            item["name"]: certificates.request(host, item)
            for item in spec["certificates"]
            if item["name"] in spec["renew"]
        }


def install(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Swap in the certificates of `signed` under the running service, which reads them by itself."""
    with host.lock(f"certificates of {spec['name']}"):
        record = _prepare(host, spec)
        renewed = [item for item in spec["certificates"] if item["name"] in spec["signed"]]
        record.add("files", certificates.paths(renewed))
        record.save()
        for item in renewed:
            certificates.install(host, item, spec["signed"][item["name"]])
    return {}


def wait_ready(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    wait(host, spec["unit"], spec["ready"], "")
    return {}


def _prepare(host: Host, spec: dict[str, Any]) -> Record:
    """What keys and files need before they can be written: packages (openssl), the user, directories; recorded."""
    record = Record(host, spec["name"])
    missing = system.missing_packages(host, spec["packages"])
    if missing:
        system.install_packages(host, missing, spec["unit"])
        if spec["unit"]:
            system.disable_services(host, missing)
    if spec["user"] and system.make_user(host, spec["user"]):
        record.data["user"] = spec["user"]
        record.save()
    for item in spec["directories"]:
        difference = files.compare_directory(host, item)
        if difference:
            if difference["before_attributes"]:
                record.data["attributes"].setdefault(item["path"], difference["before_attributes"])
            record.add("directories", files.make_directory(host, item))
    wanted = {item["path"] for item in spec["directories"]}
    for path in paths(spec):
        record.add("directories", files.make_parents(host, os.path.dirname(path)))
        wanted.update(str(parent) for parent in PurePath(path).parents)
    # What another component made and this one has too goes with the last of them.
    record.add("directories", sorted(wanted & every_path(host, recorded(host), "directories")))
    record.data["directories"].sort()
    record.save()
    return record


def apply(host: Host, spec: dict[str, Any]) -> dict[str, Any]:
    """Make it so, and wait until it works. Returns {restarted: why or None}; a reload counts too."""
    try:
        with host.lock(f"apply {spec['name']}"):
            if spec["restarts"]:
                check_spare(host, spec["spare"], spec["ready"])
            return {"restarted": _apply(host, spec)}
    finally:
        files.clear_delivery([*spec["delivered"].values(), *spec["archives"].values()])


def _apply(host: Host, spec: dict[str, Any]) -> str | None:
    record = _prepare(host, spec)
    if record.data.get("unit") not in (None, spec["unit"]):
        units.stop(host, record.data["unit"])
    changed = [item for item in considered(host, spec) if files.compare_file(host, item)]
    programs = binaries.compare(host, spec["binaries"])
    state, irreversible = units.show(host, spec["unit"]) if spec["unit"] else {}, ""
    if spec["unit"]:
        renewed = [item for item in spec["certificates"] if item["name"] in spec["signed"]]
        paths_now = [item["dest"] for item in changed if not item.get("after_ready")]
        paths_now += [change["path"] for change in programs] + certificates.paths(renewed)
        irreversible = rollback.keep(host, spec, record, paths_now + no_longer_wanted(host, spec, record))
    _remember(host, spec, record, changed)
    _settle_system(host, spec)
    try:
        _write(host, spec, record, changed, programs)
        restarted = _start(host, spec, record, changed)
    except HostError as failure:
        if "former" in record.data:
            raise rollback.undo(host, spec, record, state, failure) from None
        raise HostError(f"{failure}{irreversible}") from None
    rollback.forget(host, record)
    for item in changed:
        if item.get("after_ready"):
            files.write_file(host, item)
    for archive in spec["archives"].values():
        from . import images

        images.load(archive)
    wanted = paths(spec)
    record.data["files"] = [path for path in record.data["files"] if path in wanted]
    record.data["versions"] = {item["name"]: item["version"] for item in spec["binaries"]}
    record.save()
    return restarted


def _write(
    host: Host, spec: dict[str, Any], record: Record, changed: list[dict[str, Any]], programs: list[dict[str, Any]]
) -> None:
    """Everything that the unit is started from."""
    for change in programs:
        item = next(item for item in spec["binaries"] if item["dest"] == change["path"])
        binaries.install(host, item, spec["delivered"].get(change["after"]))
    for item in spec["certificates"]:
        signed = spec["signed"].get(item["name"])
        if signed or not certificates.look(host, item)["attributes"]:
            certificates.install(host, item, signed)
    for item in changed:
        if not item.get("after_ready"):
            files.write_file(host, item)
    for path in no_longer_wanted(host, spec, record):
        files.remove_file(host.path(path))


def _remember(host: Host, spec: dict[str, Any], record: Record, changed: list[dict[str, Any]]) -> None:
    """Record what is about to be written before it is, so that a reset finds it even after a kill."""
    ours = every_path(host, recorded(host))
    about_to = [item["dest"] for item in changed] + [item["dest"] for item in spec["binaries"]]
    about_to += certificates.paths(spec["certificates"])
    for path in about_to:
        if path not in ours and os.path.lexists(host.path(path)) and path not in record.data["originals"]:
            kept = f"{DIRECTORY}/originals{path}"
            files.keep_original(host, path, kept)
            record.data["originals"][path] = kept
    record.add("files", about_to + [path for path in paths(spec) if path in ours])
    for name, value in system.differing_sysctls(host, spec["sysctls"]).items():
        record.data["sysctls"].setdefault(name, value)
    record.data["unit"] = spec["unit"]
    if any(item.get("reload") for item in changed):
        # Whoever kills us between the write and the reload, the next run sees that there was none.
        record.data.get("stamp", {}).pop("reload", None)
    record.save()


def _settle_system(host: Host, spec: dict[str, Any]) -> None:
    system.load_modules(host, system.missing_modules(host, spec["kernel_modules"]))
    for name in system.differing_sysctls(host, spec["sysctls"]):
        system.write_sysctl(host, name, str(spec["sysctls"][name]))


def _start(host: Host, spec: dict[str, Any], record: Record, changed: list[dict[str, Any]]) -> str | None:
    """Start, restart or reload the unit if it has to be, and stamp it with what it runs from once it is ready."""
    unit = spec["unit"]
    if not unit:
        return None
    unit_changed = any(os.path.dirname(item["dest"]) == units.DIRECTORY for item in changed)
    state = units.show(host, unit)
    enabled = state.get("UnitFileState") == "enabled"
    if not enabled:
        units.enable(host, unit)
    if unit_changed or not enabled or state.get("NeedDaemonReload") == "yes":
        units.daemon_reload(host)
    state, stamp, wanted = units.show(host, unit), record.data.get("stamp", {}), inputs(host, spec)
    why, before = units.why_restart(state, stamp, digest(wanted), [host.path(path) for path in wanted]), ""
    if not why and spec.get("renewed"):
        why = "its certificates have changed"
    ready = spec["ready"]
    if why:
        if ready.get("followers"):
            from . import rolling

            ready = rolling.followers_at_work(host, ready)
        units.start(host, unit, restart=units.living(state))
        before = state.get("InvocationID", "")
    else:
        why = why_reload(host, spec, state, stamp, differ=False)
        if why is None:
            return None
        units.reload(host, unit)
    invocation = wait(host, unit, ready, before)
    record.data["stamp"] = {"inputs": digest(wanted), "invocation": invocation}
    if reloaded(spec):
        record.data["stamp"]["reload"] = digest(reloaded(spec))
    return why
