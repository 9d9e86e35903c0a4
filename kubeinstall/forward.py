"""A way to a cluster's API through SSH, for a machine that reaches the hosts by nothing else: a port of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from kubeinstall.cluster.balancer import API_PORT
from kubeinstall.errors import InputError, KubeinstallError
from kubeinstall.text import printable

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster, Host

__all__ = ["Forward", "forward", "run"]

# How long a host has to let us in; ssh itself gives up a host that does not answer after Ansible's own timeout.
SECONDS = 30
# A connection whose other end is silent is given up after four of these, as in ansible.cfg.
ALIVE_SECONDS = 5
IN = b"kubeinstall is in\n"
# It ends with its input, and so with this process, whatever ends that; ssh then ends with the last that is forwarded.
WORDS = ("/bin/sh", "-c", f"echo {IN.decode().strip()}; exec cat >/dev/null")


@dataclass(frozen=True)
class Forward:
    """A port on loopback: its URL, the control plane it leads to, and the name in that one's certificate."""

    server: str
    host: str
    name: str


@contextlib.contextmanager
def forward(cluster: Cluster, inventory: Path, unready: Callable[[Forward], str]) -> Iterator[Forward]:
    """A forward to the first control plane that lets us in and that is ready; it ends with the context.

    `unready` says why an API server is not, if it is not. Raises KubeinstallError with each control plane's reason.
    """
    reasons = []
    for host in cluster.control_plane:
        with contextlib.ExitStack() as stack:
            try:
                found = stack.enter_context(_to(host, inventory, unready))
            except _RefusedError as refusal:
                reasons.append(f"{host.name}: {refusal}")
                continue
            yield found
            return
    raise KubeinstallError(
        f"no API server of the cluster {cluster.name} answers this machine at {' or '.join(cluster.api_servers)}, nor"
        f" through SSH: {'; '.join(reasons)}",
        remedy=f"kubeinstall status -i {inventory} tells more, where the hosts answer",
    )


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command beside a forward and returns its exit code; what is to end us ends the command first."""
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        # The terminal tells all that is in front of it; what else tells us tells nobody else.
        if not (number == signal.SIGINT and _in_front()):
            for process in started:
                process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        with subprocess.Popen(command, env=environment) as process:
            started.append(process)
            code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _in_front() -> bool:
    try:
        with Path("/dev/tty").open() as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


class _RefusedError(Exception):
    """A host has no forward for us, for this reason."""


@contextlib.contextmanager
def _to(host: Host, inventory: Path, unready: Callable[[Forward], str]) -> Iterator[Forward]:
    """A forward to this control plane's own API server, which is ready."""
    from kubeinstall.cluster.inventory import ssh_command

    port = _free_port()
    options = (
        *("-T", "-oBatchMode=yes", "-oExitOnForwardFailure=yes"),
        *(f"-oServerAliveInterval={ALIVE_SECONDS}", "-oServerAliveCountMax=3"),
        *("-L", f"127.0.0.1:{port}:127.0.0.1:{API_PORT}"),
    )
    try:
        command = ssh_command(inventory, host.name, options, WORDS)
    except InputError as error:
        raise _RefusedError(error.what) from error
    # A file and no pipe, which ssh could fill when it is asked to be talkative.
    with tempfile.TemporaryFile() as said:
        pipe = subprocess.PIPE
        # Not of the terminal's session: Ctrl-C is for the command that uses it, and may take a while there.
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, start_new_session=True)
        try:
            if not _let_in(process):
                reason = f"it does not let us in within {SECONDS} s" if _runs(process) else "ssh ended without a word"
                raise _RefusedError(_last_words(said.fileno()) or reason)
            found = Forward(f"https://127.0.0.1:{port}", host.name, host.address)
            if reason := unready(found):
                # It may be sshd that forwards nothing.
                raise _RefusedError("; ".join(filter(None, (reason, _last_words(said.fileno())))))
            yield found
        finally:
            process.terminate()
            process.communicate()


def _let_in(process: subprocess.Popen[bytes]) -> bool:
    """Waits for the words that we have the host say; a login shell may say others before."""
    assert process.stdout  # noqa: S101 it was asked for
    text, deadline = b"", time.monotonic() + SECONDS
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(process.stdout.fileno(), 4096)
        text += part
        if IN in text or not part:
            return IN in text
    return False


def _runs(process: subprocess.Popen[bytes]) -> bool:
    # Its output may end a moment before it does.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.poll() is None


def _last_words(errors: int) -> str:
    lines = printable(os.pread(errors, 1 << 16, 0).decode(errors="replace")).strip().splitlines()
    return lines[-1] if lines else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
