"""Takes a component off a host: only what the record says is ours, and the data that the caller names."""

from __future__ import annotations

import glob
import os
import shutil
import stat
from typing import Any

from . import certificates, files, stored_backups, system, units
from .host import Host
from .record import Record, every_path, former_name


def remove(host: Host, spec: dict[str, Any], stay: list[str]) -> dict[str, Any]:
    """Stop, disable and remove; {removed: [what]}. With `check` nothing is touched. The caller reloads systemd.

    `stay`: the components whose files stay, those that this one has too among them. An `unfinished` one's record
    stays, empty. What it is to `keep` goes to root with the user that it belongs to.
    """
    record = Record(host, spec["name"])
    for kind in ("files", "directories"):
        others = every_path(host, stay, kind)
        record.data[kind] = [path for path in record.data[kind] if path not in others]
    if spec.get("check"):
        return {"removed": _inventory(host, spec, record)}
    with host.lock(f"remove {spec['name']}"):
        removed = _inventory(host, spec, record)
        if not removed:
            return {"removed": []}
        unit = record.data.get("unit")
        if unit:
            units.stop(host, unit)
        for path in record.data["files"]:
            for name in (path, certificates.new_key({"key": path}), files.temporary_name(path), former_name(path)):
                files.remove_file(host.path(name))
        for path, kept in record.data["originals"].items():
            files.copy_whole(host.path(kept), host.path(path))
            files.remove_file(host.path(kept))
        for name in spec["remove_links"]:
            system.remove_link(host, name)
        for path in spec["remove"]:
            _remove_tree(host, path)
        for path, attributes in record.data["attributes"].items():
            if os.path.isdir(host.path(path)) and path not in record.data["directories"]:
                files.restore_attributes(host.path(path), attributes)
        for name, value in record.data["sysctls"].items():
            if value is not None:
                system.write_sysctl(host, name, value)
        for path in reversed(record.data["directories"]):
            if os.path.isdir(host.path(path)) and not os.listdir(host.path(path)):
                os.rmdir(host.path(path))
        if record.data.get("user"):
            for path in spec.get("keep", []):
                stored_backups.give_to_root(host, path, record.data["user"])
            system.remove_user(host, record.data["user"])
        if spec.get("unfinished"):
            Record(host, spec["name"], empty=True).save()
        elif record.exists:
            record.remove()
        _remove_deliveries(host)
    return {"removed": removed}


def _remove_deliveries(host: Host) -> None:
    """What killed runs delivered. Anyone may write to /var/tmp: only a directory of the user in its name is ours."""
    for path in glob.glob(host.path("/var/tmp/kubeinstall-[0-9]*")):
        name = os.path.basename(path)
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and name.split("-")[1] == str(status.st_uid):
            shutil.rmtree(path, ignore_errors=True)


def _inventory(host: Host, spec: dict[str, Any], record: Record) -> list[str]:
    """What a removal would take away."""
    found = [path for path in record.data["files"] if os.path.lexists(host.path(path))]
    found += [path for path in spec["remove"] if os.path.lexists(host.path(path))]
    found += [name for name in spec["remove_links"] if os.path.exists(host.path(f"/sys/class/net/{name}"))]
    if record.exists:
        found.append(record.file)
    return found


def _remove_tree(host: Host, path: str) -> None:
    """Remove a folder of ours whole; what is still mounted below it is unmounted first, never emptied."""
    full = host.path(path)
    text = files.read("/proc/self/mounts") or ""
    mounts = [line.split()[1].replace("\\040", " ") for line in text.splitlines()]
    for mount in sorted((m for m in mounts if m == full or m.startswith(full + "/")), reverse=True):
        if mount != full:
            host.run(["umount", "--lazy", mount], check=False)
    if os.path.ismount(full):
        for name in os.listdir(full):
            _remove_tree(host, os.path.join(path, name))
    elif os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    else:
        files.remove_file(full)
