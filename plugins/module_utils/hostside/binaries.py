"""Programs: compare by digest, take a delivered one in, run it once before it replaces the old."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from .errors import HostError
from .files import digest_of, remove_file, sync_directory, temporary_name, write_error
from .host import Host


def wanted_digest(item: dict[str, Any], architecture: str) -> str | None:
    """The digest for this host's processor, None while the controller does not have the file for it."""
    known = item["digests"].get(architecture)
    return str(known) if known else None


def compare(host: Host, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The programs that are missing or differ: {kind, path, name, version, component, before, after} with digests."""
    changes = []
    for item in items:
        path = host.path(item["dest"])
        before, after = digest_of(path), wanted_digest(item, host.architecture)
        executable = before is not None and os.access(path, os.X_OK)
        if after is None or before != after or not executable:
            changes.append(
                {
                    "kind": "binary",
                    "path": item["dest"],
                    "name": item["name"],
                    "version": item["version"],
                    "before": before,
                    "after": after,
                }
            )
    return changes


def install(host: Host, item: dict[str, Any], delivered: str | None) -> None:
    """Put a delivered file in its place: verified again here, run once, renamed over the old one.

    A digest that differs from the pinned one is never installed, nor run.
    """
    path, wanted = host.path(item["dest"]), wanted_digest(item, host.architecture)
    temporary = temporary_name(path)
    if delivered is None:
        raise HostError(f"{item['name']} {item['version']} was not delivered to this host")
    try:
        remove_file(temporary)
        shutil.copyfile(delivered, temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
    except OSError as error:
        remove_file(temporary)
        raise write_error(path, error) from None
    if digest_of(temporary) != wanted:
        remove_file(temporary)
        remove_file(delivered)
        raise HostError(
            f"{item['name']} {item['version']} arrived with another digest than the pinned {wanted}: not installed"
        )
    os.chmod(temporary, 0o755)
    if os.geteuid() == 0:
        os.chown(temporary, 0, 0)
    try:
        _run_once(item, temporary)
    except HostError:
        remove_file(temporary)
        raise
    os.rename(temporary, path)
    sync_directory(path)


def _run_once(item: dict[str, Any], path: str) -> None:
    """A program that this host can't execute must not replace one that it can. What it prints and returns does not
    matter.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "CNI_COMMAND": "VERSION"}
    try:
        done = subprocess.run(
            [path, *item.get("smoke", ["--version"])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=30,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise HostError(
            f"{item['name']} {item['version']} does not run on this host ({error.strerror}): not installed"
        ) from None
    except subprocess.TimeoutExpired:
        return  # it runs; it only did not understand that it was asked for its version
    if done.returncode < 0 or done.returncode in (126, 127):
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise HostError(
            f"{item['name']} {item['version']} does not run on this host ({done.returncode}: {said}): not installed"
        )
