"""What the lab has to know of the machine it runs on."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeinstall.lab.daemon import Say
from kubeinstall.lab.inventory import LabFacts
from kubeinstall.lab.ways import RESTRICTED, Way

__all__ = ["facts", "warn_of_memory"]

# An idle cluster's needs, in bytes: what was measured on a control plane and on a node, with room to work.
_CONTROL_PLANE_BYTES = 1100 * 1024**2
_NODE_BYTES = 450 * 1024**2


def facts(info: Mapping[str, Any], way: Way) -> LabFacts:
    """What decides the lab's policy; `info` is the engine's."""
    return LabFacts(
        cgroup_version=int(info.get("CgroupVersion") or 1),
        restricted=way is RESTRICTED,
        swap=len(Path("/proc/swaps").read_text().splitlines()) > 1,
        resolvers=tuple(address for address in _nameservers() if _resolves(address)),
    )


def warn_of_memory(control_planes: int, nodes: int, say: Say) -> None:
    """Say so where the hosts to be made need more memory than the machine has free."""
    needed = control_planes * _CONTROL_PLANE_BYTES + nodes * _NODE_BYTES
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    if needed > free:
        say(
            f"Warning: a cluster on these hosts needs about {needed / 1024**3:.1f} GiB of memory, and the machine has "
            f"{free / 1024**3:.1f} GiB free: expect it to be slow, or ask for fewer hosts"
        )


def _nameservers() -> list[str]:
    """The machine's IPv4 name servers that are no loopback addresses, which would mean the pod itself."""
    found: list[str] = []
    # Where systemd-resolved is the machine's stub, its own list has the true ones.
    for file in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if file.is_file():
            words = (line.split() for line in file.read_text(errors="replace").splitlines())
            found += [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [address for address in dict.fromkeys(found) if ":" not in address and not address.startswith("127.")]


def _resolves(address: str, seconds: float = 1.0) -> bool:
    """Whether a name server knows where the root servers are: one that leads nowhere would delay each of CoreDNS' answers."""
    question = struct.pack(">6H", 0x6B69, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">2H", 2, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(seconds)
        try:
            link.sendto(question, (address, 53))
            answer = link.recv(4096)
        except OSError:
            return False
    identity, flags, _, answers = struct.unpack(">4H", answer[:8]) if len(answer) >= 12 else (0, 3, 0, 0)
    return identity == 0x6B69 and flags & 0xF == 0 and answers > 0
