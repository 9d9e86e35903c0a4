"""What a host is and has, before anything is done to it. Only reads."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import shutil
import socket
import struct
import time
from typing import Any, Iterable, Iterator, Union

from . import expiry, flannel, settings
from .answers import Answer
from .facts import Facts, Unprivileged
from .files import digest_of, read
from .host import Host
from .record import DIRECTORY

# A symbol that a kernel has, if it has the feature: those that are built in often show no other sign.
SYMBOLS = {
    "br_netfilter": b" br_netfilter_",
    "nf_conntrack": b" nf_conntrack_in\n",
    "nf_tables": b" nf_tables_",
    "overlay": b" ovl_",
    "vxlan": b" vxlan_",
}
BACKENDS = {"wireguard": b" wg_xmit\n"}
# Of SELinux: without the first, haproxy may not connect to the ports of API servers.
BOOLEANS = ("haproxy_connect_any",)
ENGINES = ("containerd.service", "crio.service", "docker.service")
# Where distributions put units; ours lie in /etc.
PACKAGED_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")
LISTENING = "0A"
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RTM_GETADDR, NLM_F_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE, RTM_NEWADDR = 22, 0x301, 2, 3, 20
IFA_ADDRESS, IFA_LOCAL = 1, 2
API_PORT = 6443


ANSWERS = {"main": Answer(Union[Facts, Unprivileged], reads=True)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec`: root, ports: [number], programs: [name], digests: [path],
    vacant: [address that should be nobody's], backend: flannel's that is wanted,
    registries: what registries.py asks them, or {}, calendars: [calendar expression of systemd's].

    Returns {time: seconds, python, user, root: is it root}, and for root also {systemd, machine, distribution,
    family: [ids], hostname, machine_id, networks: [{link, address: "10.0.0.1/24"}], memory: MiB, swap: [device],
    disk: {directory: {free: MiB, device}}, ports: [{port, address, process, pid, unit, ours}],
    features: {kernel module: "loaded", "built in", "loadable" or ""}, programs: [those found],
    cgroups: {version, controllers}, digests: {path: sha256 or null}, components: [name],
    versions: {program: version} of those that we installed, settings: as settings.py finds them,
    engines: [unit of a container engine that was installed as a package], docker_containers: how many Docker has,
    resolvers: [address in /etc/resolv.conf], selinux_off: [boolean that is off where SELinux enforces],
    firewalld: [source that it trusts], or null where it does not run,
    flannel: {backend, manager: kube or etcd, share: CIDR, empty where it does not run} as it was set up, or null},
    expired: [{path, until: seconds since the epoch}] of our certificates,
    answering: [those of `vacant` that a host has], registries: {name: what it answered},
    calendars: {expression: what systemd says against it, or ""}}.
    """
    now = time.time()
    host = Host(spec.get("root", "/"))
    answer: dict[str, Any] = {
        "time": now,
        "python": platform.python_version(),
        "user": user_name(),
        "root": os.geteuid() == 0,
    }
    if not answer["root"]:
        return answer  # the rest would be half of the truth
    release = os_release(host)
    records = components(host)
    answer.update(
        systemd=os.path.isdir(host.path("/run/systemd/system")),
        machine=platform.machine(),
        distribution=release.get("PRETTY_NAME") or release.get("ID", ""),
        family=(release.get("ID", "") + " " + release.get("ID_LIKE", "")).split(),
        hostname=(read(host.path("/proc/sys/kernel/hostname")) or "").strip(),
        machine_id=(read(host.path("/etc/machine-id")) or "").strip(),
        networks=networks(),
        disk={path: disk(host, path) for path in ("/var", "/usr/local")},
        memory=memory(host),
        swap=[line.split()[0] for line in (read(host.path("/proc/swaps")) or "").splitlines()[1:]],
        ports=ports(host, spec["ports"], set(records.values()) - {None}),
        features=features(host, spec["backend"]),
        programs=[name for name in spec["programs"] if shutil.which(name, path=SEARCHED)],
        cgroups=cgroups(host),
        digests={path: digest_of(host.path(path)) for path in spec["digests"]},
        components=sorted(records),
        versions=versions(host, records),
        settings=settings.found(host),
        resolvers=resolvers(host),
        selinux_off=selinux_off(host),
        firewalld=firewalld(host),
        docker_containers=entries(host, "/var/lib/docker/containers"),
        flannel=flannel.found(host),
        engines=[unit for unit in ENGINES if any(os.path.exists(host.path(f"{d}/{unit}")) for d in PACKAGED_UNITS)],
        expired=expiry.expired(host, now),
        answering=[address for address in spec["vacant"] if answers(address)],
        calendars={text: calendar_problem(host, text) for text in spec["calendars"]},
    )
    answer["registries"] = {}
    if spec["registries"]:
        from . import registries  # what it imports takes longer than all of the above

        answer["registries"] = registries.ask(spec["registries"])
    return answer


def answers(address: str) -> bool:
    """Whether some host has it: whoever takes a connection to the API's port, or refuses it."""
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((address, API_PORT)) in (0, errno.ECONNREFUSED)


def calendar_problem(host: Host, expression: str) -> str:
    if not shutil.which("systemd-analyze", path=SEARCHED):
        return "the program systemd-analyze is missing"
    done = host.run(["systemd-analyze", "calendar", "--", expression], check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[0]


def entries(host: Host, path: str) -> int:
    return len(os.listdir(host.path(path))) if os.path.isdir(host.path(path)) else 0


def user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def os_release(host: Host) -> dict[str, str]:
    pairs = [line.split("=", 1) for line in (read(host.path("/etc/os-release")) or "").splitlines() if "=" in line]
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def components(host: Host) -> dict[str, Any]:
    """{component that we installed: its systemd unit or None}. What is wrong with a record, its component will say."""
    found = {}
    directory = host.path(DIRECTORY)
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        if name.endswith(".json"):
            with contextlib.suppress(ValueError):
                found[name[: -len(".json")]] = json.loads(read(f"{directory}/{name}") or "{}").get("unit")
    return found


def versions(host: Host, names: Iterable[str]) -> dict[str, str]:
    """{program: version} in the records of these components: what they were ready with last."""
    found: dict[str, str] = {}
    for name in names:
        with contextlib.suppress(ValueError, AttributeError):
            recorded = json.loads(read(host.path(f"{DIRECTORY}/{name}.json")) or "{}").get("versions", {})
            found.update({program: str(version) for program, version in recorded.items()})
    return found


def memory(host: Host) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", read(host.path("/proc/meminfo")) or "", re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def disk(host: Host, path: str) -> dict[str, int]:
    while path != "/" and not os.path.isdir(host.path(path)):
        path = os.path.dirname(path)
    room = os.statvfs(host.path(path))
    return {"free": room.f_bavail * room.f_frsize >> 20, "device": os.stat(host.path(path)).st_dev}


def cgroups(host: Host) -> dict[str, Any]:
    """Version 2 names its controllers in a file, version 1 mounts each as a folder."""
    unified = read(host.path("/sys/fs/cgroup/cgroup.controllers"))
    if unified is not None:
        return {"version": 2, "controllers": unified.split()}
    with contextlib.suppress(OSError):
        return {"version": 1, "controllers": sorted(os.listdir(host.path("/sys/fs/cgroup")))}
    return {"version": 1, "controllers": []}


def resolvers(host: Host) -> list[str]:
    lines = [line.split() for line in (read(host.path("/etc/resolv.conf")) or "").splitlines()]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def selinux_off(host: Host) -> list[str]:
    """The booleans that are off; none where SELinux only warns or is not there."""
    if (read(host.path("/sys/fs/selinux/enforce")) or "").strip() != "1":
        return []
    states = {name: read(host.path(f"/sys/fs/selinux/booleans/{name}")) or "" for name in BOOLEANS}
    return [name for name, state in states.items() if state.startswith("0")]


def firewalld(host: Host) -> list[str] | None:
    if not shutil.which("firewall-cmd", path=SEARCHED):
        return None
    done = host.run(["firewall-cmd", "--zone=trusted", "--list-sources"], check=False)
    return done.stdout.split() if done.returncode == 0 else None


def features(host: Host, backend: str) -> dict[str, str]:
    """How the kernel has each: loaded, built in, loadable, or "" where it has not. Of backends only the one wanted."""
    wanted = dict(SYMBOLS, **{backend: BACKENDS[backend]} if backend in BACKENDS else {})
    loaded = {line.split()[0] for line in (read(host.path("/proc/modules")) or "").splitlines()}
    builtin = read(host.path(f"/lib/modules/{platform.release()}/modules.builtin")) or ""
    found: dict[str, str] = {}
    for name in wanted:
        if name in loaded:
            found[name] = "loaded"
        elif os.path.isdir(host.path(f"/sys/module/{name}")) or f"/{name}.ko" in builtin:
            found[name] = "built in"
        elif loadable(host, name):
            found[name] = "loadable"
        else:
            found[name] = ""
    # Where no folder of modules shows what is built in (a container), the kernel's own symbols do; it is a long list.
    if not builtin and not all(found.values()):
        try:
            with open(host.path("/proc/kallsyms"), "rb") as handle:
                symbols = handle.read()
        except OSError:
            symbols = b""
        for name, symbol in wanted.items():
            if not found[name] and symbol in symbols:
                found[name] = "built in"
    if backend == "udp":
        # Its device is there from the boot on, wherever the kernel has it; it loads what it needs when it is opened.
        found["tun"] = "loadable" if os.path.exists(host.path("/dev/net/tun")) else ""
    return found


def loadable(host: Host, name: str) -> bool:
    if not shutil.which("modprobe", path=SEARCHED) or not os.path.isdir(host.path("/lib/modules")):
        return False
    return host.run(["modprobe", "-n", "-q", "--", name], check=False).returncode == 0


def networks() -> list[dict[str, str]]:
    """The host's IPv4 addresses with their prefix lengths, as the kernel tells them: no program is needed for it."""
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(5)
        link.send(struct.pack("=IHHIIB3xi", 24, RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0, socket.AF_INET, 0))
        while True:
            data = link.recv(1 << 18)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind in (NLMSG_ERROR, NLMSG_DONE) or length < 16:
                    return found
                if kind == RTM_NEWADDR:
                    found += one_network(data[16:length])
                data = data[(length + 3) & ~3 :]


def one_network(message: bytes) -> Iterator[dict[str, str]]:
    _, prefix, _, _, index = struct.unpack_from("=BBBBi", message)
    attributes: dict[int, bytes] = {}
    data = message[8:]
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        attributes[kind] = data[4:length]
        data = data[(max(length, 4) + 3) & ~3 :]
    # On a point-to-point link IFA_ADDRESS is the other side.
    address = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
    if address:
        try:
            name = socket.if_indextoname(index)
        except OSError:
            name = ""
        yield {"link": name, "address": f"{socket.inet_ntop(socket.AF_INET, address)}/{prefix}"}


def ports(host: Host, wanted: list[int], units: set[str]) -> list[dict[str, Any]]:
    """Who listens on the wanted TCP ports. `ours` is a process of a unit that our records name."""
    found: dict[str, dict[str, Any]] = {}
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (read(host.path(file)) or "").splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == LISTENING and int(port, 16) in wanted:
                found[fields[9]] = {"port": int(port, 16), "address": address_of(address)}
    holders = processes(host, set(found)) if found else {}
    for inode, one in found.items():
        pid = holders.get(inode)
        one.update(pid=pid, process="", unit="")
        if pid is not None:
            one["process"] = (read(host.path(f"/proc/{pid}/comm")) or "").strip()
            one["unit"] = unit_of(read(host.path(f"/proc/{pid}/cgroup")) or "")
        one["ours"] = one["unit"] in units
    return sorted(found.values(), key=lambda one: (one["port"], one["address"]))


def address_of(text: str) -> str:
    """From the kernel's form: words of four bytes, each in the machine's order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def processes(host: Host, inodes: set[str]) -> dict[str, int]:
    """{inode of a socket: process that has it open}."""
    found: dict[str, int] = {}
    for pid in filter(str.isdigit, os.listdir(host.path("/proc"))):
        directory = host.path(f"/proc/{pid}/fd")
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            for number in os.listdir(directory):
                inode = socket_at(f"{directory}/{number}")
                if inode in inodes:
                    found.setdefault(inode, int(pid))
        if len(found) == len(inodes):
            break
    return found


def socket_at(path: str) -> str:
    """The inode of the socket that an entry of /proc/PID/fd stands for."""
    try:
        target = os.readlink(path)
    except OSError:  # closed meanwhile: the process may have what is looked for all the same
        return ""
    return target[8:-1] if target.startswith("socket:[") else ""


def unit_of(groups: str) -> str:
    """The systemd service in the lines of /proc/PID/cgroup, of either version."""
    found = re.search(r"^(?:0::|\d+:name=systemd:)\S*?/([^/\s]+\.service)", groups, re.MULTILINE)
    return found.group(1) if found else ""
