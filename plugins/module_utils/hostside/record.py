"""What kubeinstall did to a host for one component: the base of change detection, of status and of reset.

/var/lib/kubeinstall/NAME.json:
    files        paths we wrote, this component or another that has them too
    directories  paths we made, this component or another that has them too, outermost first
    originals    {path: copy of the file that was there before us}
    attributes   {directory that was there before us: its mode and owner then, as `0755 0:0`}
    sysctls      {name: value before us}
    user         the system user we made, or null
    unit         its systemd unit, or null
    stamp        {inputs: digest of what the unit was started from, null where it was not ready with it,
                 invocation: systemd's id of that start, reload: digest of what it reads when it is told to}
    versions     {program: version}
    former       while a change is under way: what it replaces (rollback.py)
"""

from __future__ import annotations

import json
import os
from typing import Any

from .errors import HostError
from .files import read, write_file
from .host import Host

DIRECTORY = "/var/lib/kubeinstall"


def former_name(path: str) -> str:
    """Where a file that is being replaced is kept until the change works."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.kubeinstall-former")


def recorded(host: Host) -> list[str]:
    """The components that have a record."""
    directory = host.path(DIRECTORY)
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    return [name[: -len(".json")] for name in names if name.endswith(".json") and name[0] != "."]


def every_path(host: Host, components: list[str], kind: str = "files") -> set[str]:
    """Every file (or directory) in the records of these: what stands there is ours, whatever a hand made of it."""
    return {path for name in components for path in Record(host, name).data[kind]}


class Record:
    def __init__(self, host: Host, name: str, *, empty: bool = False) -> None:
        """As it is on the disk, or to be begun anew."""
        self.host = host
        self.file = f"{DIRECTORY}/{name}.json"
        text = None if empty else read(host.path(self.file))
        self.exists = text is not None
        try:
            self.data: dict[str, Any] = json.loads(text) if text else {}
        except ValueError:
            raise HostError(f"{self.file} is damaged: restore it, or remove it and run again") from None
        for key in ("files", "directories"):
            self.data.setdefault(key, [])
        for key in ("originals", "attributes", "sysctls", "versions"):
            self.data.setdefault(key, {})

    def add(self, kind: str, paths: list[str]) -> None:
        self.data[kind] += [path for path in paths if path not in self.data[kind]]

    def save(self) -> None:
        """Write the record, if it differs from what is on the disk."""
        text = json.dumps(self.data, indent=1, sort_keys=True) + "\n"
        if read(self.host.path(self.file)) != text:
            os.makedirs(self.host.path(DIRECTORY), mode=0o700, exist_ok=True)
            write_file(self.host, {"dest": self.file, "content": text, "mode": "0600"})
        self.exists = True

    def remove(self) -> None:
        os.unlink(self.host.path(self.file))
        for directory, _, _ in os.walk(self.host.path(DIRECTORY), topdown=False):
            if not os.listdir(directory):  # other components' records may still be there
                os.rmdir(directory)
