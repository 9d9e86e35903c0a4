"""Runs playbooks with ansible-runner (this is its only importer) and turns its events into ours.

A run has a fresh folder of its own, an environment of what Ansible needs and no more, and a journal. Its processes end
when this one does, however that comes about.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import locale
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from kubeinstall import __version__, tether
from kubeinstall.errors import InputError, RunError
from kubeinstall.events import OUTCOMES, Event, Failure, HostStats, RunResult, host_stats, plain, translate
from kubeinstall.journal import Journal
from kubeinstall.paths import collection_root, state_directory

__all__ = ["alone", "environment", "run"]

# What Ansible, ssh, the component sources and the caches read; nothing else of the caller's environment goes along.
_PASSED = frozenset(
    {
        *("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE"),
        *("DISPLAY", "KRB5CCNAME", "SSH_AGENT_PID", "SSH_AUTH_SOCK"),
        *("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
        *("GOCACHE", "GOFLAGS", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY", "GOROOT"),
        *("GOSUMDB", "GOTOOLCHAIN"),
    }
)
_PASSED_PREFIXES = ("ANSIBLE_", "KUBEINSTALL_")
# What ansible-runner adds for its own callback plugin.
_RUNNERS_PREFIXES = ("ANSIBLE_", "AWX_", "RUNNER_")
_POLL_SECONDS = 0.2
_LOOSE_LINES = 40


def environment() -> dict[str, str]:
    """The environment of a run: what is needed of the caller's, the project's ansible.cfg, and host keys checked."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    env.setdefault("PATH", os.defpath)
    # By name, so that it counts in every working directory, from a wheel, and in a folder that others can write to.
    env.setdefault("ANSIBLE_CONFIG", str(collection_root() / "ansible.cfg"))
    env.setdefault("ANSIBLE_HOST_KEY_CHECKING", "True")
    if "utf" not in (locale.getlocale(locale.LC_CTYPE)[1] or locale.getencoding()).lower():
        env["LC_ALL"] = "C.UTF-8"
    return env


def run(
    playbooks: Sequence[Path | str],
    inventory: Path | str,
    *,
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
    diff: bool = False,
    limit: str = "",
    on_event: Callable[[Event], None] | None = None,
) -> RunResult:
    """Runs the playbooks, in order, and waits. A run that fails is a result, not an exception.

    `on_event` hears each event as it happens. Raises InputError when there is no such inventory, RunError when the
    run's folder cannot be written. SIGINT and SIGTERM end the run in order; the result's status is then "interrupted".
    """
    inventory = Path(inventory).absolute()
    if not inventory.exists():
        # Ansible would find no hosts, and call that a success.
        raise InputError("there is no such inventory", where=str(inventory))
    arguments = ["-i", str(inventory)]
    arguments += ["--check"] * check + ["--diff"] * diff
    if limit:
        arguments += ["--limit", limit]
    if extra_vars:
        arguments += ["-e", json.dumps(dict(extra_vars))]
    files = [str(Path(path).absolute()) for path in playbooks]
    about = {
        "version": __version__,
        "playbooks": [Path(path).stem for path in files],
        "inventory": str(inventory),
        "check": check,
        "limit": limit,
    }
    runs = state_directory(inventory) / "runs"
    try:
        journal = Journal(runs, about)
    except OSError as error:
        raise RunError(
            f"the run's journal cannot be written: {error.strerror}", where=str(runs), remedy="make the folder writable"
        ) from error
    watch = _Watch(journal, on_event)
    started = time.monotonic()
    status = "failed"
    try:
        with _interrupts(watch):
            status = _execute(arguments + files, journal.directory, watch)
    finally:
        seconds = time.monotonic() - started
        journal.close({"status": status, "seconds": round(seconds, 3)})
    unfinished = tuple(watch.doing.values())
    return RunResult(
        status, watch.stats, watch.end(status), tuple(watch.events), seconds, journal.directory, unfinished
    )


@contextlib.contextmanager
def alone(inventory: Path) -> Iterator[None]:
    """While it lasts, no other command on this inventory changes the same cluster. Raises RunError if one does.

    Said at once, and over all the runs that a command makes. Other controllers, other copies of the inventory and plain
    ansible-playbook are kept out by each run's hold on the hosts (plugin_utils/hold.py).
    """
    folder = state_directory(inventory)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "run.lock"
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            what = f"another run is at work on this cluster ({handle.read().strip() or 'unknown'})"
            raise RunError(what, where=str(path), remedy="wait until it has ended, or end it") from None
        handle.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        handle.write(f"{getpass.getuser()}, process {os.getpid()}, since {since}")
        handle.flush()
        yield


class _Watch:
    """Hears the run: keeps, journals and passes on its events, and knows whether it is to stop."""

    def __init__(self, journal: Journal, on_event: Callable[[Event], None] | None) -> None:
        self.journal, self.on_event = journal, on_event
        self.events: list[Event] = []
        self.failures: list[Failure] = []
        # What the hosts are at: {host: its task's start}.
        self.doing: dict[str, Event] = {}
        self.loose: deque[str] = deque(maxlen=_LOOSE_LINES)
        self.stats: dict[str, HostStats] = {}
        self.stopping = False
        self._stopped = False

    def hear(self, raw: dict[str, Any]) -> bool:
        """Takes one event of ansible-runner's; False keeps it from writing the event to a file."""
        if text := str(raw.get("stdout") or ""):
            self.journal.output(plain(text))
        event = translate(raw)
        if event is not None:
            self._take(event)
        elif raw.get("event") == "verbose":
            self.loose.append(plain(text))
        return False

    def _take(self, event: Event) -> None:
        if event.kind == "stats":
            self.stats = host_stats(event.result)
        elif event.kind in ("failed", "unreachable") and not event.ignored:
            self.failures.append(Failure(event.message, event.host, event.step, event.kind == "unreachable"))
        if event.kind == "start":
            self.doing[event.host] = event
        elif event.kind in OUTCOMES:
            self.doing.pop(event.host, None)
        if event.kind not in ("start", "stats"):
            self.events.append(event)
        self.journal.record(event)
        if self.on_event is not None:
            self.on_event(event)

    def stop(self) -> bool:
        """Asked often by the runner: passes a wish to stop on to the tether, once. Never says that it should kill."""
        if self.stopping and not self._stopped:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.journal.directory / "artifacts" / "pid").read_text()), signal.SIGTERM)
                self._stopped = True
                self._take(Event("stopping", time.time()))
        return False

    def end(self, status: str) -> tuple[Failure, ...]:
        """The failures of a run that failed. What Ansible's recap does not count was rescued or to be ignored."""
        if status != "failed":
            return ()
        counted = [one for one in self.failures if one.host not in self.stats or not self.stats[one.host].good]
        if counted:
            return tuple(counted)
        # It did not come to any task: Ansible has said why on its own lines.
        lines = list(self.loose)
        first = next((number for number, line in enumerate(lines) if line.startswith("[ERROR]")), 0)
        return (Failure("\n".join(lines[first:]).removeprefix("[ERROR]: ").strip() or "Ansible ended without a word"),)


@contextlib.contextmanager
def _interrupts(watch: _Watch) -> Iterator[None]:
    """While it lasts, SIGINT and SIGTERM stop the run in order (only the main thread may ask for that)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        watch.stopping = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _execute(arguments: list[str], directory: Path, watch: _Watch) -> str:
    # Here and not above: importing it takes a tenth of a second that `kubeinstall --help` has no use for.
    from ansible_runner.config.runner import RunnerConfig
    from ansible_runner.runner import Runner

    env = environment()
    config = RunnerConfig(
        private_data_dir=str(directory),
        playbook=arguments[-1],
        ident="run",
        envvars=env,
        quiet=True,
        suppress_env_files=True,
    )
    config.prepare()
    artifacts = Path(config.artifact_dir)
    artifacts.parent.chmod(0o700)
    pid_file = artifacts.parent / "pid"
    config.command = [
        *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(pid_file)),
        *(sys.executable, "-m", "ansible", "playbook", *arguments),
    ]
    # The runner starts from the whole environment of this process: keep what we chose and what it added.
    config.env = {k: v for k, v in config.env.items() if k in env or k.startswith(_RUNNERS_PREFIXES)}
    # Paths that an inventory writes relatively mean the same as under plain ansible-playbook.
    config.cwd = str(Path.cwd())
    config.suppress_output_file = True
    config.pexpect_timeout = _POLL_SECONDS

    def status_changed(data: Mapping[str, Any], **_more: object) -> None:
        if data["status"] == "running":
            # It lists the environment, which may hold a vault's or proxy's password.
            (artifacts / "command").unlink(missing_ok=True)

    runner = Runner(config, event_handler=watch.hear, cancel_callback=watch.stop, status_handler=status_changed)
    runner.run()
    if runner.rc == 0:
        return "ok"
    return "interrupted" if watch.stopping else "failed"
