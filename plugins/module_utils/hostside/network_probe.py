"""What a host, and a pod on it, reach of the cluster's network; and whether its etcd member holds what the API wrote.

spec: node (this host's, or empty), address (its own, as the inventory has it), seconds (to try for),
      nodes {name: {address, pod}} of all nodes whose pod answers, port (the pods' own), cluster_ip, node_port,
      dns {server, names {name: address}},
      etcd {endpoint, authority, certificate, key, path, token, leases} or null: `token` is in what the API wrote at
      `path`, `leases` the prefix under which flannel has a share for each node, or null
Returns {checks: [{check, problems, detail}]}.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import http.client
import json
import os
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, NamedTuple

from .answers import Answer
from .host import Host
from .waiting import pause

# Where containerd and Docker keep pods' network namespaces.
NAMESPACES = ("/run/netns", "/run/docker/netns")
CLONE_NEWNET = 0x40000000
TIMEOUT = 2
BESIDE = 32
A, IN = 1, 1

Attempt = Callable[[], None]


class Check(NamedTuple):
    check: str
    problems: List[str]
    detail: str


class Checks(NamedTuple):
    checks: List[Check]


ANSWERS = {"main": Answer(Checks, reads=True)}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    checks = []
    if spec["node"] in spec["nodes"]:
        checks = network_checks(spec)
    elif spec["node"]:
        # Why it has no pod was said where the pods were started; what the host itself reaches is worth knowing too.
        checks = [_check(name, problems) for name, problems in _from_host(spec).items()]
    if spec["etcd"]:
        checks.append(_check("etcd holds what the API wrote", etcd_problems(Host(), spec["etcd"])))
        if spec["etcd"]["leases"]:
            addresses = [node["address"] for node in spec["nodes"].values()]
            checks.append(_check("flannel's leases in etcd", lease_problems(Host(), spec["etcd"], addresses)))
    return {"checks": checks}


def _check(name: str, problems: list[str], detail: str = "") -> dict[str, Any]:
    return {"check": name, "problems": problems, "detail": detail}


def network_checks(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found = _from_host(spec)
    own = spec["nodes"][spec["node"]]
    if spec["address"] not in (None, own["address"]):
        found["pods"].append(f"the API knows this node by {own['address']}, the inventory by {spec['address']}")
    namespace = network_namespace_of(own["pod"])
    if namespace is None:
        found["pods"].append(f"no pod's network namespace on this host has the address {own['pod']} of this node's pod")
    else:
        for name, problems in inside(namespace, lambda: _from_pod(spec)).items():
            found[name] += problems
    return [_check(name, problems) for name, problems in found.items()]


def _from_host(spec: dict[str, Any]) -> dict[str, list[str]]:
    return _tried(
        spec["seconds"],
        "from this host",
        {
            "pods": _pods(spec),
            "ClusterIP": [(f"ClusterIP {spec['cluster_ip']}", healthy(spec["cluster_ip"], 80))],
            # In nftables mode a NodePort is there on the primary address only, and nobody else's business on loopback.
            "NodePort": [
                (
                    f"NodePort {spec['node_port']} of {name} ({node['address']})",
                    healthy(node["address"], spec["node_port"]),
                )
                for name, node in spec["nodes"].items()
            ],
            "DNS": _names(spec),
        },
    )


def _from_pod(spec: dict[str, Any]) -> dict[str, list[str]]:
    cluster_ip = [(f"ClusterIP {spec['cluster_ip']}", healthy(spec["cluster_ip"], 80))]
    attempts = {"pods": _pods(spec), "ClusterIP": cluster_ip, "DNS": _names(spec)}
    return _tried(spec["seconds"], "from a pod on this host", attempts)


def _pods(spec: dict[str, Any]) -> list[tuple[str, Attempt]]:
    return [
        (f"the pod on {name} ({node['pod']})", healthy(node["pod"], spec["port"]))
        for name, node in spec["nodes"].items()
    ]


def _names(spec: dict[str, Any]) -> list[tuple[str, Attempt]]:
    dns = spec["dns"]
    return [(f"the cluster's DNS {dns['server']}", resolves(dns["server"], *item)) for item in dns["names"].items()]


def _tried(seconds: float, whence: str, attempts: dict[str, list[tuple[str, Attempt]]]) -> dict[str, list[str]]:
    """All attempts at once, each repeated until it succeeds or time is over: rules of a new service take a moment."""
    deadline = time.monotonic() + seconds

    def problem(attempt: Attempt) -> str:
        while True:
            try:
                attempt()
                return ""
            except (OSError, http.client.HTTPException) as error:
                said = f"does not answer: {error or type(error).__name__}"
            except ValueError as error:
                said = f"answers wrongly: {error}"
            if time.monotonic() >= deadline:
                return said
            pause(0.1)

    flat = [(check, what, attempt) for check, items in attempts.items() for what, attempt in items]
    with ThreadPoolExecutor(BESIDE) as pool:
        seen = list(pool.map(problem, [attempt for _, _, attempt in flat]))
    found: dict[str, list[str]] = {check: [] for check in attempts}
    for (check, what, _), said in zip(flat, seen):
        if said:
            found[check].append(f"{whence}, {what} {said}")
    return found


def healthy(address: str, port: int) -> Attempt:
    """An attempt to be told OK by a verification pod."""

    def attempt() -> None:
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            body = answer.read(100)
        if (answer.status, body) != (200, b"OK"):
            raise ValueError(f"{answer.status} {body!r}")

    return attempt


def resolves(server: str, name: str, expected: str, port: int = 53) -> Attempt:
    """An attempt to be told that `name` has the address `expected`."""

    def attempt() -> None:
        found = addresses_of(server, name, port)
        if found != [expected]:
            raise ValueError(f"{name} is {', '.join(found) or 'unknown'}, and should be {expected}")

    return attempt


def addresses_of(server: str, name: str, port: int = 53) -> list[str]:
    """The IPv4 addresses a DNS server gives for a name: asked by hand, since the host's resolver asks other servers.

    Raises OSError where it does not answer, ValueError where its answer is no use.
    """
    number = random.randrange(1 << 16)  # noqa: S311 it tells answers apart, it keeps no secret
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"
    question += struct.pack(">HH", A, IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT)
        client.connect((server, port))
        client.send(struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
        message = client.recv(4096)
    answered, flags, _, count, _, _ = struct.unpack(">HHHHHH", message[:12])
    if answered != number or flags & 0xF not in (0, 3):
        raise ValueError(f"code {flags & 0xF} for {name}")
    return list(_records(message, 12 + len(question), count))


def _records(message: bytes, at: int, count: int) -> Any:
    for _ in range(count):
        while message[at] and message[at] < 0xC0:
            at += message[at] + 1
        at += 2 if message[at] else 1
        kind, _, _, length = struct.unpack(">HHIH", message[at : at + 10])
        if kind == A:
            yield socket.inet_ntoa(message[at + 10 : at + 14])
        at += 10 + length


def network_namespace_of(address: str) -> str | None:
    """The path of the network namespace that has this address."""

    def has_it() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            try:
                server.bind((address, 0))
            except OSError:
                return False
            return True

    for path in sorted(path for folder in NAMESPACES for path in glob.glob(f"{folder}/*")):
        with contextlib.suppress(OSError):  # a pod that ends takes its namespace away
            if inside(path, has_it):
                return path
    return None


def inside(namespace: str, function: Callable[[], Any]) -> Any:
    """What `function` returns or raises within a network namespace. Only its own thread goes there, and its threads."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            with open(namespace) as handle:
                enter = ctypes.CDLL(None, use_errno=True).setns
                if enter(handle.fileno(), CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), namespace)
            outcome["result"] = function()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def _get(host: Host, etcd: dict[str, Any], *arguments: str) -> Any:
    """`etcdctl get`, by a client of etcd's own."""
    command = ["etcdctl", f"--endpoints={etcd['endpoint']}", f"--cacert={etcd['authority']}"]
    command += [f"--cert={etcd['certificate']}", f"--key={etcd['key']}", "--command-timeout=5s"]
    return host.run([*command, "get", *arguments, "--print-value-only"], check=False, timeout=15)


def lease_problems(host: Host, etcd: dict[str, Any], addresses: list[str]) -> list[str]:
    """Whether flannel has a share of its network for each of the nodes."""
    asked = _get(host, etcd, etcd["leases"], "--prefix")
    if asked.returncode != 0:
        return [f"etcd at {etcd['endpoint']} does not give {etcd['leases']}: {asked.stderr.strip()[-300:]}"]
    # What was put there for flannel to take says no more than for whom it is.
    taken = {lease["PublicIP"] for lease in map(json.loads, asked.stdout.splitlines()) if "PublicIPv6" in lease}
    return [
        f"flannel at {address} has no lease under {etcd['leases']}" for address in addresses if address not in taken
    ]


def etcd_problems(host: Host, etcd: dict[str, Any]) -> list[str]:
    """Whether this host's member gives what the API wrote: read under its key."""
    asked = _get(host, etcd, etcd["path"])
    if asked.returncode != 0:
        return [f"etcd at {etcd['endpoint']} does not give {etcd['path']}: {asked.stderr.strip()[-300:]}"]
    if not asked.stdout.strip():
        return [f"etcd at {etcd['endpoint']} knows no {etcd['path']}, which the API has just written"]
    # What the cluster encrypts can't be read here; that it is there is all there is to see.
    if asked.stdout.startswith("k8s:enc:") or etcd["token"] in asked.stdout:
        return []
    return [f"etcd at {etcd['endpoint']} holds something else under {etcd['path']} than the API has written"]
