"""Brings files to a host over its SSH connection: only what it lacks, in one stream, compressed where the link is
slow.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import shlex
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import (
    command_over,
    interpreter,
    streaming,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.limits import DEVICE, Limit, limited

from kubeinstall.text import printable

CHUNK = 1 << 20
# Below this rate zlib's fastest level, at 60 to 80 MB/s a core and a third of the size, delivers sooner than the
# bare bytes.
SLOW_LINK = 40e6
WINDOW = 8 << 20
COMPRESSED = 1 << 31
LANDING = re.compile("/var/tmp/kubeinstall-[0-9]{1,10}(-[a-z0-9_]{8})?")  # noqa: S108 what the login user owns there
# A transfer that has not moved on for so long is given up; a host takes 2 MiB before it is waited for.
IDLE_SECONDS = 30
SLICE = 1 << 16
# Without a stream of our own nothing tells how it goes on.
WHOLE_SECONDS = 3600
SSH_FAILED = 255
PAUSE = 0.5
# Bytes that are kept of what a host prints besides.
LONGEST = 10_000

# Runs as the login user, who may not be root: root takes the files from there, and verifies each by its digest.
# Anyone may write to /var/tmp: where another user has made something of that name, a new name is taken.
PREPARE = """\
import os, stat, sys
d = "/var/tmp/kubeinstall-%d" % os.geteuid()
try: os.mkdir(d, 0o700)
except FileExistsError: pass
s = os.lstat(d)
if stat.S_ISDIR(s.st_mode) and s.st_uid == os.geteuid():
    os.chmod(d, 0o700)
else:
    import tempfile
    d = tempfile.mkdtemp(prefix=os.path.basename(d) + "-", dir=os.path.dirname(d))
"""
RECEIVE = (
    PREPARE
    + """\
import json, struct, zlib
i = sys.stdin.buffer
for f in json.loads(i.readline()):
    p, left = os.path.join(d, f["name"]), f["size"]
    try:
        with open(p + ".partial", "wb") as o:
            while left:
                n = struct.unpack(">I", i.read(4))[0]
                b = i.read(n & 0x7fffffff)
                if n >> 31: b = zlib.decompress(b)
                o.write(b)
                left -= len(b)
        os.rename(p + ".partial", p)
    except OSError as e:
        os.unlink(p + ".partial")
        sys.exit("%s was not written: %s" % (p, e.strerror))
print(d)
"""
)


def deliver(action: ActionBase, task_vars: Mapping[str, Any], files: Sequence[tuple[Path, str]]) -> dict[str, str]:
    """Bring `files` [(local path, sha256)] to the task's host; {sha256: path on the host}. Root takes them from there.

    Raises AnsibleActionFail when the host can't take them. What a killed run left half-way is written anew.
    """
    if not files:
        return {}
    hold.check()
    python, connection = interpreter(action, task_vars), action._connection
    if not streaming(connection):
        return _put(action, python, files)
    command = command_over(connection, action._play_context.remote_addr, [python, "-I", "-S", "-c", RECEIVE])
    pipe = subprocess.PIPE
    with (
        limited(IDLE_SECONDS) as limit,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as ssh,
    ):
        # A broken pipe is no news: the host's own words about it are in stderr.
        with contextlib.suppress(BrokenPipeError), cast(BinaryIO, ssh.stdin) as stream:
            _send(stream, files, limit)
        errors = last_errors(ssh, limit)
        printed = "" if limit.exceeded else cast(BinaryIO, ssh.stdout).read(LONGEST).decode(errors="replace")
    check_ended(ssh, limit, errors)
    if ssh.returncode != 0 or not printed.strip():
        raise AnsibleActionFail(
            f"the host did not take {len(files)} files: {errors or f'ssh ended with {ssh.returncode}'}"
        )
    directory = _landing(printed)
    return {digest: f"{directory}/{digest}" for _, digest in files}


def last_errors(ssh: subprocess.Popen[bytes], limit: Limit) -> str:
    """The last of what ssh, or the program on the host, has printed on its standard error, which is not buffered here.

    A shared connection keeps it open when the ssh that uses it is killed.
    """
    stream, end = cast(BinaryIO, ssh.stderr), b""
    while not limit.exceeded:
        if select.select([stream], [], [], PAUSE)[0]:
            chunk = stream.read(CHUNK)
            if not chunk:
                break
            end = (end + chunk)[-LONGEST:]
    return printable(end.decode(errors="replace")).strip()[-1000:]


def check_ended(ssh: subprocess.Popen[bytes], limit: Limit, errors: str) -> None:
    """AnsibleConnectionFailure where the transfer has stopped, or the connection has ended."""
    if limit.exceeded:
        raise AnsibleConnectionFailure(
            f"unreachable: a transfer of files has not moved on for {limit.seconds:.0f} s. {DEVICE}"
        )
    if ssh.returncode == SSH_FAILED:
        raise AnsibleConnectionFailure(f"unreachable over SSH: {errors or 'the connection ended'}")


def _landing(printed: str) -> str:
    """The directory that PREPARE has printed last. AnsibleActionFail for any other: its name goes into commands."""
    directory = (printed.split() or [""])[-1]
    if not LANDING.fullmatch(directory):
        raise AnsibleActionFail(f"the host names {printable(directory)[:100]!r} as its directory for files")
    return directory


def _send(stream: BinaryIO, files: Sequence[tuple[Path, str]], limit: Limit) -> None:
    header = [{"name": digest, "size": path.stat().st_size} for path, digest in files]
    _write(stream, json.dumps(header).encode() + b"\n", limit)
    slow, sent, since = False, 0, time.monotonic()
    for path, _ in files:
        for chunk in _chunks(path):
            frame = zlib.compress(chunk, 1) if slow else chunk
            _write(stream, struct.pack(">I", len(frame) | (COMPRESSED if slow else 0)), limit)
            _write(stream, frame, limit)
            sent += len(chunk)
            if not slow and sent >= WINDOW:
                slow = sent / max(time.monotonic() - since, 1e-6) < SLOW_LINK
                sent, since = 0, time.monotonic()


def _write(stream: BinaryIO, data: bytes, limit: Limit) -> None:
    for start in range(0, len(data), SLICE):
        left = memoryview(data)[start : start + SLICE]
        while left:
            left = left[stream.write(left) :]
        limit.reset()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as handle:
        while chunk := handle.read(CHUNK):
            yield chunk


def landing(action: ActionBase, python: str) -> str:
    """The folder on the task's host that is the login user's own, where files come and go."""
    with limited(IDLE_SECONDS) as limit:
        made = action._low_level_execute_command(
            shlex.join([python, "-I", "-S", "-c", PREPARE + "print(d)"]), sudoable=False
        )
    if limit.exceeded:
        raise AnsibleConnectionFailure(f"unreachable: {limit.exceeded}")
    if made["rc"] != 0:
        raise AnsibleActionFail(f"the host has no place for files: {printable(made['stderr']).strip()[-1000:]}")
    return _landing(str(made["stdout"]))


def _put(action: ActionBase, python: str, files: Sequence[tuple[Path, str]]) -> dict[str, str]:
    directory = landing(action, python)
    with limited(WHOLE_SECONDS) as limit:
        for path, digest in files:
            limit.reset()
            action._connection.put_file(str(path), f"{directory}/{digest}")
    return {digest: f"{directory}/{digest}" for _, digest in files}
