"""Brings files to a host over its SSH connection: only what it lacks, in one stream, compressed where the link is
slow.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import (
    command_over,
    interpreter,
    streaming,
)

from kubeinstall.text import printable

CHUNK = 1 << 20
# Below this rate zlib's fastest level, at 60 to 80 MB/s a core and a third of the size, delivers sooner than the
# bare bytes.
SLOW_LINK = 40e6
WINDOW = 8 << 20
COMPRESSED = 1 << 31
LANDING = re.compile("/var/tmp/kubeinstall-[0-9]{1,10}(-[a-z0-9_]{8})?")  # noqa: S108 what the login user owns there
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
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ssh:
        # A broken pipe is no news: the host's own words about it are in stderr.
        with contextlib.suppress(BrokenPipeError), cast(BinaryIO, ssh.stdin) as stream:
            _send(stream, files)
        errors = last_errors(ssh)
        printed = cast(BinaryIO, ssh.stdout).read(LONGEST).decode(errors="replace")
    if ssh.returncode != 0 or not printed.strip():
        raise AnsibleActionFail(
            f"the host did not take {len(files)} files: {errors or f'ssh ended with {ssh.returncode}'}"
        )
    directory = _landing(printed)
    return {digest: f"{directory}/{digest}" for _, digest in files}


def last_errors(ssh: subprocess.Popen[bytes]) -> str:
    """The last of what ssh, or the program on the host, has printed on its standard error."""
    end = b""
    while chunk := cast(BinaryIO, ssh.stderr).read(CHUNK):
        end = (end + chunk)[-LONGEST:]
    return printable(end.decode(errors="replace")).strip()[-1000:]


def _landing(printed: str) -> str:
    """The directory that PREPARE has printed last. AnsibleActionFail for any other: its name goes into commands."""
    directory = (printed.split() or [""])[-1]
    if not LANDING.fullmatch(directory):
        raise AnsibleActionFail(f"the host names {printable(directory)[:100]!r} as its directory for files")
    return directory


def _send(stream: BinaryIO, files: Sequence[tuple[Path, str]]) -> None:
    header = [{"name": digest, "size": path.stat().st_size} for path, digest in files]
    stream.write(json.dumps(header).encode() + b"\n")
    slow, sent, since = False, 0, time.monotonic()
    for path, _ in files:
        for chunk in _chunks(path):
            frame = zlib.compress(chunk, 1) if slow else chunk
            stream.write(struct.pack(">I", len(frame) | (COMPRESSED if slow else 0)))
            stream.write(frame)
            sent += len(chunk)
            if not slow and sent >= WINDOW:
                slow = sent / max(time.monotonic() - since, 1e-6) < SLOW_LINK
                sent, since = 0, time.monotonic()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as handle:
        while chunk := handle.read(CHUNK):
            yield chunk


def landing(action: ActionBase, python: str) -> str:
    """The folder on the task's host that is the login user's own, where files come and go."""
    made = action._low_level_execute_command(
        shlex.join([python, "-I", "-S", "-c", PREPARE + "print(d)"]), sudoable=False
    )
    if made["rc"] != 0:
        raise AnsibleActionFail(f"the host has no place for files: {printable(made['stderr']).strip()[-1000:]}")
    return _landing(str(made["stdout"]))


def _put(action: ActionBase, python: str, files: Sequence[tuple[Path, str]]) -> dict[str, str]:
    directory = landing(action, python)
    for path, digest in files:
        action._connection.put_file(str(path), f"{directory}/{digest}")
    return {digest: f"{directory}/{digest}" for _, digest in files}
