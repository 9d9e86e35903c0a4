"""Proves a snapshot of etcd: it is restored aside, a member of its own serves it, and what is in it is read from there.

`etcdutl snapshot status` calls a corrupt file a good one; only this does not.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from typing import Any, Dict, Iterator

from . import files
from .errors import HostError
from .etcd import PKI, told
from .host import Host
from .record import DIRECTORY

# Only root may enter it: whoever reads a snapshot reads all Secrets' ciphertext, and all else in plain text.
WORK = f"{DIRECTORY}/etcd"
# The controller manager writes it into every namespace: the authority by which a cluster tells itself from others.
AUTHORITY = "/registry/configmaps/kube-system/kube-root-ca.crt"
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# A member that restores gigabytes reads them all once more when it starts.
SECONDS = 300
# What a member writes beside its data when it starts: two write-ahead logs.
OVERHEAD = 256 << 20


def prove(host: Host, snapshot: str) -> Dict[str, Any]:
    """{revision, keys, authorities [PEM]} of the snapshot at this path. HostError where no member can serve it."""
    with _room(snapshot) as room:
        restore(host, snapshot, f"{room}/data")
        with _member(host, room) as endpoint:
            found = _ask(host, endpoint, "get", "", "--prefix", "--keys-only", "--limit=1")
            kept = _ask(host, endpoint, "get", AUTHORITY).get("kvs", [])
    text = b"".join(base64.b64decode(item["value"]) for item in kept)
    return {
        "revision": found["header"]["revision"],
        "keys": found.get("count", 0),
        "authorities": [pem.decode(errors="replace") for pem in PEM.findall(text)],
    }


def foreign(found: Dict[str, Any], ours: str) -> str:
    """Why what prove() found is not the cluster of our authority (PEM), in words; empty when it is.

    Another cluster's snapshot is of no use here: its Secrets and tokens were made with other keys.
    """
    if not found["authorities"]:
        return "the snapshot holds no Kubernetes cluster: there is no ConfigMap kube-system/kube-root-ca.crt in it"
    if "".join(ours.split()) not in {"".join(pem.split()) for pem in found["authorities"]}:
        return "the snapshot is another cluster's: its authority (kube-system/kube-root-ca.crt) is not this cluster's"
    return ""


def restore(host: Host, snapshot: str, data: str, *options: str) -> None:
    """Make a data directory (a full path) out of a snapshot. What a failed one leaves there would block the next."""
    command = ["etcdutl", "snapshot", "restore", snapshot, f"--data-dir={data}", *options]
    done = host.run(command, check=False, timeout=SECONDS)
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        raise HostError(
            f"the snapshot does not restore, so it is truncated, altered or none at all:"
            f" {said[-1][7:] if said else done.stderr.strip()[-300:]}. Take another backup"
        )


def enough_space(directory: str, needed: int) -> None:
    """HostError unless that many bytes are free where a directory (a full path) is or will be."""
    there = directory
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise HostError(
            f"{directory} has {free >> 20} MB free, and this takes {needed >> 20} MB: make room. Nothing was changed"
        )


@contextlib.contextmanager
def workplace(host: Host, needed: int) -> Iterator[str]:
    """An empty directory for one of us at a time, with room for that many bytes; it goes again at the end."""
    with host.lock("a snapshot of etcd", timeout=SECONDS):
        directory = host.path(WORK)
        enough_space(directory, needed)
        # What is there was left by a run that was killed.
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory, mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(directory))  # a host without components keeps no folder of ours


@contextlib.contextmanager
def _room(snapshot: str) -> Iterator[str]:
    """An empty directory beside a snapshot, for its trial."""
    room = f"{os.path.dirname(snapshot)}/trial"
    enough_space(os.path.dirname(snapshot), os.path.getsize(snapshot) + OVERHEAD)
    shutil.rmtree(room, ignore_errors=True)
    os.mkdir(room, 0o700)
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextlib.contextmanager
def _member(host: Host, room: str) -> Iterator[str]:
    """A member that serves `room`/data on sockets in there, to nobody else; its endpoint.

    A snapshot carries authentication: the member knows its clients by their certificates, as the one on this host does.
    """
    # The socket's name is what the server's certificate has to say.
    endpoint, log, pki = f"unixs://{room}/localhost", f"{room}/log", host.path(PKI)
    command = ["etcd", f"--data-dir={room}/data", f"--listen-client-urls={endpoint}"]
    command += [f"--listen-peer-urls=unix://{room}/p", "--advertise-client-urls=http://localhost:2379"]
    command += [f"--cert-file={pki}/server.crt", f"--key-file={pki}/server.key", "--client-cert-auth"]
    command += [f"--trusted-ca-file={pki}/ca.crt"]
    command += ["--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync", "--log-level=error"]
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin"}
    with (
        open(log, "wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    _ask(host, endpoint, "get", "health")
                    break
                except HostError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        said = (files.read(log) or "").strip()[-600:]
                        raise HostError(f"the snapshot restores, but no member serves it: {said}") from None
                time.sleep(0.1)
            yield endpoint
        finally:
            process.kill()


def _ask(host: Host, endpoint: str, *arguments: str) -> Dict[str, Any]:
    return dict(
        json.loads(told(host, *arguments, "--write-out=json", endpoints=endpoint, timeout=60, command_timeout=30))
    )
