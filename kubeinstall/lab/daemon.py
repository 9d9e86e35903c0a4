"""A Docker engine where none answers: installed from the distribution, started by systemd or by hand.

The engine we start by hand is known by its pid file in the user's cache folder, and `stop` ends that one only.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from kubeinstall.distribution import Say, as_root, install_packages
from kubeinstall.errors import LabError
from kubeinstall.lab import engine as docker_engine
from kubeinstall.lab.engine import Engine

__all__ = ["answering", "cache_folder", "stop"]

_SOCKET = Path("/var/run/docker.sock")
_CONTAINERD_PIDFILE = Path("/var/run/docker/containerd/containerd.pid")
_START_SECONDS = 90

# dockerd believes its containerd alive when any process has the number in that file, and then waits for it in vain.
# As root, since nobody else may look into that folder.
_START = """
read -r pid <"$0" 2>/dev/null && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = containerd ] \\
    && ! grep -q "^State:.*Z" "/proc/$pid/status" || rm -f "$0"
exec "$@"
"""


def cache_folder() -> Path:
    """Where the lab keeps images, logs and the engine's pid file; made when missing."""
    folder = user_cache_path("kubeinstall") / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def answering(say: Say) -> Engine:
    """An engine that answers: the one that does already, or one that is installed and started here and now.

    Raises LabError where that is not possible, with what to install by hand.
    """
    if (found := docker_engine.connect()) is None:
        if os.environ.get("DOCKER_HOST"):
            raise LabError(
                f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}",
                remedy="start that engine, or unset DOCKER_HOST",
            )
        # Two labs may come up at once on a fresh machine: one of them starts the engine, the other finds it.
        with FileLock(cache_folder() / "engine.lock"):
            found = docker_engine.connect() or _install_and_start(say)
    if sys.platform != "linux" or not found.local():
        raise LabError(
            "the lab needs a Docker engine on this machine that runs as root: hosts are reached by their addresses, "
            "which a remote, rootless or desktop engine does not route to",
            remedy="use the distribution's engine, or point an inventory at machines you have",
        )
    return found


def _install_and_start(say: Say) -> Engine:
    if not shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        install_packages("a Docker engine", ["docker.io", "iptables"], say)
    if Path("/run/systemd/system").is_dir():
        _start_by_systemd(say)
    else:
        _start_by_hand(say)
    return _wait(say)


def _start_by_systemd(say: Say) -> None:
    command = as_root(["systemctl", "start", "docker"])
    if command is None:
        raise LabError("the Docker engine is not running", remedy="`sudo systemctl start docker`, then repeat")
    say("Starting the Docker engine (systemctl start docker)")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError(
            f"systemctl could not start docker: {done.stderr.strip()}", remedy="`journalctl -u docker` tells why"
        )


def _let_in(say: Say) -> bool:
    """Give this user the socket of the engine that this run has started with the user's own sudo; whether it worked."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    # The user, not a group of the user's: whoever has the socket is root, and groups have other members.
    take = as_root(["chown", user, str(_SOCKET)])
    join = as_root(["usermod", "--append", "--groups", "docker", user])
    if take is None or join is None or subprocess.run(take, capture_output=True).returncode:
        return False
    joined = subprocess.run(join, capture_output=True).returncode == 0
    say(
        f"{user} may use the engine's socket until the engine restarts"
        + (", and as a member of the group docker from the next login on" if joined else "")
    )
    return True


def _pidfile() -> Path:
    return cache_folder() / "dockerd.pid"


def _logfile() -> Path:
    return cache_folder() / "dockerd.log"


def _runs(pidfile: Path, program: str) -> int | None:
    """The pid in the file, where a process of that program has it: a stale file may name anybody's process."""
    try:
        pid = int(pidfile.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, ValueError):
        return None
    return pid if name == program and state != "Z" else None


def _start_by_hand(say: Say) -> None:
    if _runs(_pidfile(), "dockerd"):
        return  # started a moment ago, and not answering yet
    _pidfile().unlink(missing_ok=True)
    command = as_root(["sh", "-c", _START, str(_CONTAINERD_PIDFILE), "dockerd", "--pidfile", str(_pidfile())])
    if command is None:
        raise LabError("no Docker engine is running, and starting one needs root", remedy="`sudo dockerd`, then repeat")
    say(f"Starting the Docker engine by hand (no systemd here), its output goes to {_logfile()}")
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    # Detached, and nobody's child: it outlives this command, and a Ctrl-C in the terminal is not for it.
    detached = ["sh", "-c", '"$@" >"$0" 2>&1 </dev/null &', str(_logfile()), *command]
    subprocess.run(detached, cwd="/", env={**os.environ, "PATH": path}, start_new_session=True, check=True)


def _wait(say: Say) -> Engine:
    """Wait until the engine answers; ends in an error that holds the engine's last words when it does not."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < _START_SECONDS:
        try:
            found = docker_engine.connect()
        except docker_engine.EngineDeniedError:
            if not _let_in(say):
                raise
            continue
        if found:
            say(f"The Docker engine answers after {passed:.0f} s")
            return found
        if not Path("/run/systemd/system").is_dir() and passed > 10 and not _runs(_pidfile(), "dockerd"):
            break
        time.sleep(0.2)
    last = ""
    if _logfile().exists():
        last = "; ".join(_logfile().read_text(errors="replace").strip().splitlines()[-3:])
    raise LabError(f"the Docker engine did not start within {passed:.0f} s: {last}", remedy=f"see {_logfile()}")


def stop(say: Say, seconds: int = 60) -> bool:
    """End the engine this module started by hand, with its containers; False where there is none of ours."""
    pid = _runs(_pidfile(), "dockerd")
    if pid is None:
        return False
    say(f"Stopping the Docker engine that was started by hand (process {pid})")
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5)):
        command = as_root(["kill", f"-{number.value}", str(pid)])
        subprocess.run(command or ["true"], capture_output=True)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if _runs(_pidfile(), "dockerd") is None:
                _pidfile().unlink(missing_ok=True)
                return True
            time.sleep(0.2)
    raise LabError(f"the Docker engine (process {pid}) does not end", remedy=f"see {_logfile()}")
