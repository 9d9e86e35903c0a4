"""What the lab has to know of the machine it runs on."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeinstall.distribution import Say, as_root
from kubeinstall.lab.engine import Engine
from kubeinstall.lab.inventory import LabFacts
from kubeinstall.lab.ways import RESTRICTED, Way

__all__ = ["facts", "prepare_kernel", "warn_of_memory"]

# An idle cluster's needs, in bytes: what was measured on a control plane and on a node, with room to work. A host of
# etcd's own needs no more than a node.
_CONTROL_PLANE_BYTES = 1100 * 1024**2
_NODE_BYTES = 450 * 1024**2

# systemd, the container engine and kubelet hold some twenty on one host, and pods theirs.
_INOTIFY_INSTANCES = 64
# Raised once, and enough for a lab that grows.
_INOTIFY_AT_ONCE = 1024

_DNS_PORT = 53

# Prints each module whose work the kernel refuses. A kernel that can load them by itself does so at the first use;
# br_netfilter is the one that nothing asks for by name.
_MODULE_PROBE = """
ip link add k-probe type vxlan id 1 dstport 4789 2>/dev/null && ip link del k-probe || echo vxlan
ip link add k-probe type bridge 2>/dev/null && ip link del k-probe || echo bridge
ip link add k-probe type veth peer name k-probe2 2>/dev/null && ip link del k-probe || echo veth
nft add table ip k-probe 2>/dev/null && nft delete table ip k-probe || echo nf_tables
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo br_netfilter
[ -e /proc/sys/net/netfilter/nf_conntrack_max ] || echo nf_conntrack
grep -qw overlay /proc/filesystems || echo overlay
"""


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


def prepare_kernel(engine: Engine, host: str, all_hosts: int, say: Say) -> None:
    """See to it that the machine's kernel has what a cluster's hosts need, since they cannot load modules themselves.

    `host` is a running one, `all_hosts` the number of them in all labs. Loads modules and raises a limit as root;
    without root, and for what cannot be had, the screen says what is missing and what to do.
    """
    for module in _missing_modules(engine, host):
        load = as_root(["modprobe", module])
        if load and subprocess.run(load, capture_output=True).returncode == 0:
            say(f"Loaded the kernel module {module}")
    if missing := _missing_modules(engine, host):
        wanted = " ".join(missing)
        say(f"Warning: this machine's kernel lacks {wanted}, and a cluster may not start: `sudo modprobe -a {wanted}`")
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    needed = _INOTIFY_INSTANCES * (all_hosts + 1)
    if int(limit.read_text()) < needed:
        setting = f"fs.inotify.max_user_instances={max(needed, _INOTIFY_AT_ONCE)}"
        # The limit is for each user of the machine, and the hosts of all labs together are one user.
        enlarge = as_root(["sysctl", "-qw", setting])
        if enlarge and subprocess.run(enlarge, capture_output=True).returncode == 0:
            say(f"Set {setting} on this machine until it reboots: systemd and kubelet watch files on every host")
        else:
            say(f"Warning: {all_hosts} hosts may run out of file watches: `sudo sysctl -w {setting}`")


def _missing_modules(engine: Engine, host: str) -> list[str]:
    """The kernel modules without which something of a cluster fails, found by using each in a host."""
    return engine.run(host, ["sh", "-c", _MODULE_PROBE])[1].split()


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
    """Whether a name server answers for the root zone: one that leads nowhere would delay each of CoreDNS' answers."""
    question = struct.pack(">6H", 0x6B69, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">2H", 2, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(seconds)
        try:
            link.sendto(question, (address, _DNS_PORT))
            answer = link.recv(4096)
        except OSError:
            return False
    identity, flags, _, answers = struct.unpack(">4H", answer[:8]) if len(answer) >= 12 else (0, 3, 0, 0)
    return bool(identity == 0x6B69 and flags & 0xF == 0 and answers > 0)
