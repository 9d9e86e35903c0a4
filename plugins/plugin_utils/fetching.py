"""Brings a file from a host over its SSH connection, piece by piece: a store of gigabytes is never held in memory."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import (
    command_over,
    interpreter,
    streaming,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import (
    CHUNK,
    IDLE_SECONDS,
    WHOLE_SECONDS,
    check_ended,
    last_errors,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.limits import limited

# Runs as the login user. The name goes first: however this ends, nothing stays on the host.
SEND = """\
import os, shutil, sys
p = {path!r}
with open(p, "rb") as i:
    os.unlink(p)
    try: os.rmdir(os.path.dirname(p))
    except OSError: pass
    shutil.copyfileobj(i, sys.stdout.buffer, 1 << 20)
"""


def fetch(action: ActionBase, task_vars: Mapping[str, Any], remote: str, local: Path, size: int, sha256: str) -> None:
    """Move the login user's file `remote` here, mode 0600, whole or not at all. Raises AnsibleActionFail.

    A host that sends more than `size` bytes is stopped.
    """
    connection = action._connection
    words = [interpreter(action, task_vars), "-I", "-S", "-c", SEND.format(path=remote)]
    try:
        handle, temporary = tempfile.mkstemp(dir=local.parent, prefix=f".{local.name}.")
        try:
            with os.fdopen(handle, "w+b") as file:
                if streaming(connection):
                    _receive(command_over(connection, action._play_context.remote_addr, words), file, size)
                else:
                    with limited(WHOLE_SECONDS):
                        connection.fetch_file(remote, temporary)
                    action._low_level_execute_command(f"rm -f {shlex.quote(remote)}", sudoable=False)
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != sha256:
                    raise AnsibleActionFail(
                        f"what arrived of {remote} is not what was sent: run the same command again"
                    )
                os.fsync(file.fileno())
            Path(temporary).replace(local)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise AnsibleActionFail(f"{local} cannot be written: {error.strerror}") from error


def _receive(command: Sequence[bytes], file: BinaryIO, size: int) -> None:
    pipe = subprocess.PIPE
    with (
        limited(IDLE_SECONDS) as limit,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, bufsize=0) as ssh,
    ):
        source = cast(BinaryIO, ssh.stdout)
        while chunk := source.read(CHUNK):
            size -= len(chunk)
            if size < 0:
                raise AnsibleActionFail("the host sends more than the file that it was asked for")
            file.write(chunk)
            limit.reset()
        errors = last_errors(ssh, limit)
    check_ended(ssh, limit, errors)
    if ssh.returncode != 0:
        raise AnsibleActionFail(f"the host did not send the file: {errors or f'ssh ended with {ssh.returncode}'}")
