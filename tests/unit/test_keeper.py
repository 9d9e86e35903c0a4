"""One run at a time: the keeper beside a run and its part on a host, as real processes that are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import hold as hostside
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold

from kubeinstall import keeper

Begin = Callable[..., tuple["subprocess.Popen[str]", dict[str, Any]]]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Those that a test started, ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def sleeper(processes: list[subprocess.Popen[str]]) -> Callable[[], subprocess.Popen[str]]:
    """A process that stands for a run."""

    def start() -> subprocess.Popen[str]:
        processes.append(subprocess.Popen(["sleep", "300"], text=True))
        return processes[-1]

    return start


def test_a_host_that_prints_without_end_is_let_go() -> None:
    hold = keeper.Hold("a", ["sh", "-c", "exec yes >&2"])
    with hold.said, hold.process:
        until(lambda: os.fstat(hold.said.fileno()).st_size > keeper.LONGEST)
        hold.beat()
        assert hold.process.wait(10) == -9


def on_host(name: str, who: str, patience: float = 30) -> list[str]:
    run = {"who": who, "process": 1, "since": "2026-01-02 03:04:05 UTC"}
    argument = json.dumps({"name": name, "run": run, "patience": patience})
    return [sys.executable, "-I", "-S", cast(str, hostside.__file__), argument]


@pytest.fixture
def begin(processes: list[subprocess.Popen[str]], tmp_path: Path) -> Begin:
    """Starts a keeper for a run: the process and its answer."""

    def start(run: int, *commands: list[str]) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        code = (
            f"import sys; sys.path.insert(0, {str(Path(keeper.__file__).parent)!r}); import keeper, pathlib\n"
            f"keeper.PATIENCE_SECONDS = 0.1; keeper.BEAT_SECONDS = 0.1\n"
            f"keeper.main({run}, pathlib.Path({str(tmp_path / 'hold')!r}))"
        )
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdin=pipe, stdout=pipe, text=True)
        processes.append(process)
        assert process.stdin
        assert process.stdout
        with process.stdin:
            json.dump([{"host": f"host{n}", "command": command} for n, command in enumerate(commands)], process.stdin)
        process.stdin = None
        return process, json.loads(process.stdout.readline())

    return start


@pytest.fixture
def name() -> str:
    return f"kubeinstall-test-{uuid.uuid4()}"


def test_the_second_is_told_who_holds_it(name: str, sleeper: Callable[[], Any], begin: Begin) -> None:
    assert begin(sleeper().pid, on_host(name, "me@here"))[1] == {"holding": ["host0"]}
    _, answer = begin(sleeper().pid, on_host(f"{name}-free", "you@there"), on_host(name, "you@there"))
    assert answer["host"] == "host1"
    assert answer["held"].pop("there").endswith(f" of user {os.getuid()}")
    assert answer["held"] == {"who": "me@here", "process": 1, "since": "2026-01-02 03:04:05 UTC"}
    # What it had got of the hold is free again.
    assert "holding" in begin(sleeper().pid, on_host(f"{name}-free", "they@elsewhere"))[1]


@pytest.mark.parametrize("dies", ["the run", "its keeper"])
def test_a_hold_ends_with_the_run(name: str, sleeper: Callable[[], Any], begin: Begin, dies: str) -> None:
    run = sleeper()
    kept, _ = begin(run.pid, on_host(name, "me@here"))
    (run if dies == "the run" else kept).kill()
    until(lambda: "holding" in begin(sleeper().pid, on_host(name, "you@there"))[1])
    kept.wait(10)


def test_a_run_that_is_heard_of_no_more_is_forgotten(name: str, sleeper: Callable[[], Any], begin: Begin) -> None:
    silent = subprocess.Popen(on_host(name, "me@here", patience=0.5), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert silent.stdout
        assert json.loads(silent.stdout.readline()) == {"holding": True}
        assert silent.wait(10) == 0
    finally:
        silent.kill()
        silent.communicate()
    assert "holding" in begin(sleeper().pid, on_host(name, "you@there"))[1]


def test_the_run_knows_when_it_was_last_answered(
    name: str, sleeper: Callable[[], Any], begin: Begin, tmp_path: Path
) -> None:
    begin(sleeper().pid, on_host(name, "me@here", patience=1))
    first = float((tmp_path / "hold").read_text())
    # For longer than the host's patience: it hears of the run.
    time.sleep(1.5)
    assert float((tmp_path / "hold").read_text()) > first + 1
    assert "held" in begin(sleeper().pid, on_host(name, "you@there"))[1]


def test_hosts_that_do_not_answer_are_told(name: str, sleeper: Callable[[], Any], begin: Begin) -> None:
    refuses = ["sh", "-c", "echo No route to host >&2; exit 255"]
    greets = ["sh", "-c", 'echo "Welcome {here}"; exec "$@"', "sh", *on_host(name, "me@here")]
    assert begin(sleeper().pid)[1] == {"away": {}}
    assert begin(sleeper().pid, refuses)[1] == {"away": {"host0": "No route to host"}}
    # One that is reached, and cannot do its part, is no reason to go on without it.
    fails = ["sh", "-c", "echo no Python >&2; exit 127"]
    assert begin(sleeper().pid, refuses, fails)[1] == {"failed": {"host0": "No route to host", "host1": "no Python"}}
    assert begin(sleeper().pid, refuses, greets)[1] == {"holding": ["host1"]}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path / "hold"


def test_a_run_that_lost_its_hold_begins_nothing_more(state: Path) -> None:
    hold.check()
    state.write_text(str(time.clock_gettime(time.CLOCK_BOOTTIME)))
    hold.check()
    state.write_text(str(time.clock_gettime(time.CLOCK_BOOTTIME) - 2 * hold.LOST_SECONDS))
    with pytest.raises(AnsibleActionFail, match=r"has lost its hold on the cluster: .* for 40 s"):
        hold.check()
    state.write_text(hold.UNKNOWN)
    hold.check()
    assert hold.LOST_SECONDS < hold.FORGOTTEN_SECONDS


@pytest.mark.parametrize("meanwhile", ["nobody", "another run"])
def test_a_host_that_has_rebooted_is_held_again(
    name: str,
    sleeper: Callable[[], Any],
    begin: Begin,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    """Its run had let go of it with the reboot, which on a cluster of one host was all of its hold."""
    state.write_text(str(time.clock_gettime(time.CLOCK_BOOTTIME) - 2 * hold.LOST_SECONDS))
    hosts = {host: on_host(f"{name}-{host}", "me@here") for host in ("cp1", "cp2")}
    listed = [{"host": host, "command": command} for host, command in hosts.items()]
    monkeypatch.setattr(hold, "_commands", lambda *_: listed)
    keep = lambda commands, _: begin(sleeper().pid, *(one["command"] for one in commands))[1]  # noqa: E731
    monkeypatch.setattr(hold, "_keep", keep)
    action = cast(Any, None)
    if meanwhile == "another run":
        begin(sleeper().pid, on_host(f"{name}-cp2", "you@there"))
        with pytest.raises(AnsibleActionFail, match=r"while cp2 was down, another run .* Nothing more was changed"):
            hold.take_again(action, {"inventory_hostname": "cp2"})
        return
    # No server of the cluster: nothing was let go of.
    hold.take_again(action, {"inventory_hostname": "node1"})
    with pytest.raises(AnsibleActionFail, match="has lost its hold"):
        hold.check()
    hold.take_again(action, {"inventory_hostname": "cp2"})
    hold.check()
    assert "held" in begin(sleeper().pid, on_host(f"{name}-cp2", "you@there"))[1]
    assert "holding" in begin(sleeper().pid, on_host(f"{name}-cp1", "you@there"))[1]


def _worker_of_a_killed_run(said: Path) -> None:
    context = multiprocessing.get_context("fork")
    context.Process(target=_outlive, args=(os.getpid(), said)).start()
    os._exit(0)


def _outlive(parent: int, said: Path) -> None:
    until(lambda: os.getppid() != parent)
    try:
        hold.check()
    except AnsibleActionFail as error:
        said.with_suffix(".new").write_text(str(error))
        said.with_suffix(".new").rename(said)


def test_a_worker_whose_run_was_killed_begins_nothing_more(state: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    run = multiprocessing.get_context("fork").Process(target=_worker_of_a_killed_run, args=(said,))
    run.start()
    run.join()
    until(said.exists)
    assert "was killed: nothing more is begun" in said.read_text()


def test_what_a_holder_says_is_shown_plain_and_short() -> None:
    text = hold._sentence({"who": "me\x1b[31m@here\n" + "x" * 500, "process": 7, "since": "now"}, "cp1")
    assert text.startswith("another run holds this cluster: me[31m@herexxx")
    assert "process 7, since now (says cp1; on it, unknown)" in text
    assert len(text) < 600


OTHERS = {
    "nothing": b"{}\n",
    "no JSON": b"{\n",
    "no holder": b'{"held": "x"}\n',
    "one key more": b'{"held": {}, "failed": 1}\n',
    "a failure": b'{"failed": "x"}\n',
    "nested": b'{"held": ' + b"[" * 50_000 + b"\n",
}


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS)
def test_a_host_that_answers_something_else_does_not_hold(line: bytes) -> None:
    assert keeper._declared(line) is None
