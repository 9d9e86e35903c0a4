"""Runs of real playbooks on this machine: results, the environment, the journal, and how a run ends before its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeinstall import paths, runs
from kubeinstall.errors import InputError, RunError
from kubeinstall.events import Event, RunResult
from kubeinstall.journal import KEPT, Journal, scrub
from kubeinstall.paths import collection_root, state_directory

SLEEPER = "kubeinstall-test-sleeper"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"one": local, "two": local}
    path = tmp_path / "cluster" / "hosts.yml"
    path.parent.mkdir()
    path.write_text(json.dumps({"all": {"hosts": hosts}}))
    return path


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Path]:
    def write(*tasks: dict[str, Any], **more: Any) -> Path:
        path = tmp_path / "play.yml"
        path.write_text(json.dumps([{"name": "Try", "hosts": "all", "gather_facts": False, "tasks": tasks, **more}]))
        return path

    return write


def task(name: str, module: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, f"ansible.builtin.{module}": arguments}


def returned(result: RunResult, title: str, key: str) -> dict[str, str]:
    return {e.host: e.result[key] for e in result.events if e.task == title and e.kind in ("ok", "changed")}


def processes(pattern: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_run_that_changes_something(inventory: Path, play: Callable[..., Path], tmp_path: Path) -> None:
    path = f"{tmp_path}/made-{{{{ inventory_hostname }}}}"
    seen: list[Event] = []
    playbook = play(task("Make it", "copy", content="x\n", dest=path, mode="0600"), task("Tell", "debug", msg="hello"))

    result = runs.run([playbook], inventory, diff=True, on_event=seen.append)

    assert result.status == "ok"
    assert result.failures == ()
    assert {host: (one.ok, one.changed, one.good) for host, one in result.stats.items()} == {
        "one": (2, 1, True),
        "two": (2, 1, True),
    }
    assert result.changed == 2
    assert returned(result, "Tell", "msg") == {"one": "hello", "two": "hello"}
    assert all("invocation" not in event.result for event in result.events)
    assert [event.diff[0]["after"] for event in seen if event.kind == "diff"] == ["x\n", "x\n"]
    assert [event.play for event in seen if event.kind == "play"] == ["Try"]
    assert (tmp_path / "made-one").read_text() == "x\n"


def test_check_limit_and_extra_variables(inventory: Path, play: Callable[..., Path], tmp_path: Path) -> None:
    playbook = play(task("Make it", "copy", content="{{ word }}", dest=f"{tmp_path}/made", mode="0600"))

    result = runs.run([playbook], inventory, check=True, limit="two", extra_vars={"word": 'it\'s {not} "simple"'})

    assert result.status == "ok"
    assert list(result.stats) == ["two"]
    assert result.changed == 1
    assert not (tmp_path / "made").exists()


def test_several_playbooks_run_in_order(inventory: Path, play: Callable[..., Path], tmp_path: Path) -> None:
    first = play(task("First", "debug", msg="1")).rename(tmp_path / "first.yml")
    second = play(task("Second", "debug", msg="2"))

    result = runs.run([first, second], inventory)

    assert list(dict.fromkeys(event.task for event in result.events if event.kind == "ok")) == ["First", "Second"]


def test_a_failure_is_a_result(inventory: Path, play: Callable[..., Path]) -> None:
    script = "echo said; echo why >&2; test {{ inventory_hostname }} = one"
    result = runs.run([play(task("Fail on two", "shell", cmd=script), any_errors_fatal=True)], inventory)

    assert result.status == "failed"
    assert not result.stats["two"].good
    (failure,) = result.failures
    assert (failure.host, failure.step, failure.unreachable) == ("two", "Fail on two", False)
    assert failure.message == "non-zero return code\nwhy\nsaid"


def test_ignored_and_rescued_failures_are_none(inventory: Path, play: Callable[..., Path]) -> None:
    ignored = task("Ignored", "command", cmd="false") | {"ignore_errors": True}
    rescued = {"block": [task("Rescued", "command", cmd="false")], "rescue": [task("Rescue", "debug", msg="fine")]}

    result = runs.run([play(ignored, rescued)], inventory)

    assert (result.status, result.failures) == ("ok", ())


def test_of_an_ignored_unreachable_host_only_the_judgement_counts(inventory: Path, play: Callable[..., Path]) -> None:
    hosts = json.loads(inventory.read_text())
    hosts["all"]["hosts"]["far"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory.write_text(json.dumps(hosts))
    ask = task("Ask", "ping") | {"ignore_unreachable": True}
    judge = task("Judge", "fail", msg="far is away") | {"run_once": True}

    result = runs.run([play(ask, judge)], inventory)

    assert [(failure.host, failure.message) for failure in result.failures] == [("one", "far is away")]


def test_an_unreachable_host_is_named(inventory: Path, play: Callable[..., Path]) -> None:
    inventory.write_text(json.dumps({"all": {"hosts": {"far": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}))

    result = runs.run([play(task("Reach it", "ping"))], inventory)

    (failure,) = result.failures
    assert result.status == "failed"
    assert failure.host == "far"
    assert failure.unreachable
    assert "Connection refused" in failure.message


@pytest.mark.parametrize(
    ("playbook", "limit", "said"),
    [
        ("- hosts: all\n  tasks: [", "", "YAML parsing failed"),
        ("- hosts: all\n  tasks: [{no.such.module: {}}]", "", "no.such.module"),
        ("- hosts: all\n  tasks: []", "nobody", "no hosts to target"),
    ],
)
def test_a_run_that_cannot_begin_says_why(
    inventory: Path, tmp_path: Path, playbook: str, limit: str, said: str
) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(playbook)

    result = runs.run([path], inventory, limit=limit)

    (failure,) = result.failures
    assert (result.status, failure.host) == ("failed", "")
    assert said in failure.message


def test_a_missing_inventory_is_refused(tmp_path: Path, play: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="there is no such inventory"):
        runs.run([play()], tmp_path / "none")


def test_environment_is_what_ansible_needs(
    inventory: Path, play: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "abc")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "abc")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "no.such.callback")
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    script = f"env > {tmp_path}/env-{{{{ inventory_hostname }}}}; pwd"

    result = runs.run([play(task("Look", "shell", cmd=script))], inventory)

    env = dict(line.split("=", 1) for line in (tmp_path / "env-one").read_text().splitlines() if "=" in line)
    assert "MY_API_TOKEN" not in env
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in env
    assert env["SSH_AUTH_SOCK"] == "/run/agent"
    assert env["https_proxy"] == "http://proxy:3128"
    assert env["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert env["ANSIBLE_CONFIG"] == str(collection_root() / "ansible.cfg")
    assert returned(result, "Look", "stdout")["one"] == str(tmp_path)


def test_a_locale_ansible_refuses_is_replaced(inventory: Path, play: Callable[..., Path], tmp_path: Path) -> None:
    code = f"from kubeinstall import runs; print(runs.run([{str(play())!r}], {str(inventory)!r}).status)"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"


def test_the_users_own_ansible_settings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CONFIG", "/etc/mine.cfg")
    monkeypatch.setenv("ANSIBLE_FORKS", "3")
    env = runs.environment()
    assert (env["ANSIBLE_CONFIG"], env["ANSIBLE_FORKS"]) == ("/etc/mine.cfg", "3")


def test_the_journal_is_private_and_without_secrets(
    inventory: Path, play: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@proxy:3128")
    monkeypatch.setenv("ANSIBLE_BECOME_PASS", "hunter2")
    key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
    script = f"echo '{key}' password=hunter2 http://me:hunter2@proxy; false"
    result = runs.run([play(task("Leak", "shell", cmd=script))], inventory)

    files = [path for path in result.directory.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"journal.jsonl", "output.log"}
    for path in files:
        assert "hunter2" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
    for folder in (result.directory, result.directory.parent, result.directory.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    lines = [json.loads(line) for line in (result.directory / "journal.jsonl").read_text().splitlines()]
    assert lines[0]["playbooks"] == ["play"]
    assert lines[-1]["status"] == "failed"
    assert [(line["host"], line["step"]) for line in lines if line.get("kind") == "failed"] != []


def test_nothing_of_the_environment_is_on_disk_while_a_run_lasts(
    inventory: Path, play: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD", "hunter2")
    folder = state_directory(inventory)
    found: list[str] = []

    def look(event: Event) -> None:
        if event.kind == "task":
            files = [path for path in folder.rglob("*") if path.is_file()]
            found.extend(str(path) for path in files if "hunter2" in path.read_text(errors="replace"))

    runs.run([play(task("Wait", "debug", msg="x"))], inventory, on_event=look)
    assert found == []


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token: abc, x", "token: (hidden) x"),
        ('"ansible_become_password": "a b"', '"ansible_become_password": (hidden)'),
        ("http://a:b@c/d", "http://(hidden)@c/d"),
        ("a\n-----BEGIN EC PRIVATE KEY-----\nx", "a\n(hidden)"),
        ("/etc/kubernetes/pki/ca.crt is missing", "/etc/kubernetes/pki/ca.crt is missing"),
    ],
)
def test_scrub(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_old_journals_go_and_one_in_use_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "runs"
    (tmp_path / "state").mkdir()
    old = Journal(folder, {})
    left = folder / "20000101-000000-kill"
    (left / "artifacts" / "run").mkdir(parents=True)
    for _ in range(KEPT + 3):
        Journal(folder, {}).close({})
    assert old.directory.exists()
    assert not left.exists()
    assert len(list(folder.iterdir())) <= KEPT + 1
    old.close({})
    (folder / "29991231-000000-kill" / "artifacts").mkdir(parents=True)
    Journal(folder, {}).close({})
    assert list((folder / "29991231-000000-kill").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, play: Callable[..., Path]) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all: {}\n")
    (tmp_path / ".kubeinstall").write_text("in the way")
    with pytest.raises(RunError, match="the run's journal cannot be written"):
        runs.run([play()], hosts)


def test_only_one_run_changes_a_cluster(inventory: Path) -> None:
    with (
        runs.alone(inventory),
        pytest.raises(RunError, match=rf", process {os.getpid()}, since 20\d\d-"),
        runs.alone(inventory),
    ):
        pass
    with runs.alone(inventory):
        pass


def sleeper(play: Callable[..., Path], tmp_path: Path) -> Path:
    """A playbook whose task sleeps for long, below a process that ignores an interrupt."""
    begun, name = f"{tmp_path}/begun-{{{{ inventory_hostname }}}}", f"{SLEEPER}-{tmp_path.name}"
    script = f"trap '' INT TERM; touch {begun}; exec -a {name} sleep 300"
    return play(task("Sleep", "command", argv=["bash", "-c", script]))


def begin(inventory: Path, playbook: Path, tmp_path: Path) -> subprocess.Popen[str]:
    code = f"from kubeinstall import runs; print(runs.run([{str(playbook)!r}], {str(inventory)!r}).status)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    until(lambda: all((tmp_path / f"begun-{host}").exists() for host in ("one", "two")))
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_all_it_started(
    inventory: Path, play: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    process = begin(inventory, sleeper(play, tmp_path), tmp_path)
    process.send_signal(number)
    said, _ = process.communicate(timeout=20)
    assert said == "interrupted\n"
    assert processes(str(inventory)) == []
    assert processes(f"{SLEEPER}-{tmp_path.name}") == []
    (journal,) = state_directory(inventory).glob("runs/*/journal.jsonl")
    assert json.loads(journal.read_text().splitlines()[-1])["status"] == "interrupted"


def test_a_killed_run_leaves_no_process(inventory: Path, play: Callable[..., Path], tmp_path: Path) -> None:
    process = begin(inventory, sleeper(play, tmp_path), tmp_path)
    assert processes(f"{SLEEPER}-{tmp_path.name}") != []
    process.kill()
    process.communicate(timeout=20)
    until(lambda: not processes(str(inventory)) and not processes(f"{SLEEPER}-{tmp_path.name}"))
    # The next run cleans up after it.
    runs.run([play(task("Tell", "debug", msg="x"))], inventory)
    assert list(state_directory(inventory).glob("runs/*/artifacts")) == []


def test_world_writable_checkouts_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.world_writable() is None
    # Not this checkout: runs beside this test would feel it.
    monkeypatch.setattr(paths, "collection_root", lambda: tmp_path)
    tmp_path.chmod(0o777)
    assert paths.world_writable() == tmp_path
