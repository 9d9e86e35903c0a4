"""What a run looks like on a terminal and elsewhere, from events as a run gives them."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kubeinstall import report
from kubeinstall.errors import InputError, KubeinstallError, Problem
from kubeinstall.events import Event, Failure, HostStats, RunResult
from tests.lab import eventually

FILE = {"before_header": "/etc/a (0600)", "after_header": "/etc/a (0644)", "before": "1\n2\n", "after": "1\n3\n"}


def console(*, terminal: bool = False, height: int = 20) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, height=height, color_system=None)


def said(where: Console) -> str:
    file = where.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def event(kind: str, host: str = "", task: str = "Run etcd", **more: Any) -> Event:
    return Event(kind=kind, time=time.time(), play="Etcd", role="etcd", task=task, host=host, **more)


def hear(view: report.View, *events: Event) -> None:
    for one in events:
        view.hear(one)


def result(status: str = "ok", **more: Any) -> RunResult:
    values: dict[str, Any] = {
        "stats": {"a": HostStats(ok=3, changed=1), "b": HostStats(ok=3)},
        "failures": (),
        "events": (),
        "seconds": 62.0,
        "directory": Path("/state/runs/1"),
    }
    return RunResult(status=status, **values | more)


def test_plain_lines_bear_the_time() -> None:
    where = console()
    with report.watch(where, ["a", "b"]) as view:
        hear(view, event("play"), event("task"), event("start", "a"), event("start", "b"))
        hear(view, event("changed", "a", seconds=1.26), event("ok", "b"), event("stats"))
    lines = said(where).splitlines()
    assert [line[9:] for line in lines] == ["Etcd", "changed a  etcd : Run etcd  (1.3 s)"]
    assert all(line[2] == line[5] == ":" for line in lines)
    assert "\x1b" not in said(where)


def test_plain_output_names_the_hosts_that_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    where, now = console(), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    view = report.View(where, ["a", "b", "c"])
    starts = [event("start", name) for name in ("a", "b", "c")]
    hear(view, event("play"), event("task"), *starts, event("ok", "c"))
    for _ in range(200):
        now += 1
        view.tell()
        if 40 < now - view._started <= 41:
            hear(view, event("ok", "a"))
    assert [line[9:] for line in said(where).splitlines()] == [
        "Etcd",
        "waiting for a, b (etcd : Run etcd), 10 s",
        "waiting for a, b (etcd : Run etcd), 30 s",
        "waiting for b (etcd : Run etcd), 1:00 min",
        "waiting for b (etcd : Run etcd), 2:00 min",
        "waiting for b (etcd : Run etcd), 3:00 min",
    ]


def test_plain_output_does_so_without_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_WAITS", (1.0, 30.0, 60.0))
    where = console()
    with report.watch(where, ["a"]) as view:
        hear(view, event("start", "a"))
        eventually(lambda: "waiting for a (etcd : Run etcd), 1 s" in said(where), 10, "the line")


def test_warnings_are_said_once_and_not_those_that_were_said_before() -> None:
    where = console()
    with report.watch(where, ["a"], said={"known"}) as view:
        hear(
            view,
            event("ok", "a", result={"warnings": ["known", "new"]}),
            event("ok", "a", result={"warnings": ["new"]}),
        )
    assert [line[9:] for line in said(where).splitlines()] == ["warning: new"]


def test_a_failure_is_said_when_it_happens() -> None:
    where = console()
    with report.watch(where, ["a"]) as view:
        hear(view, event("play"), event("failed", "a", message="no quorum\nmore"))
        assert "failed a  etcd : Run etcd: no quorum\n" in said(where)
        hear(view, event("failed", "a", message="expected", ignored=True))
    assert "expected" not in said(where)


def test_the_same_difference_is_shown_once_with_its_hosts() -> None:
    where = console()
    with report.watch(where, ["a", "b", "c"], check=True) as view:
        hear(view, event("task"))
        for host in ("a", "b"):
            hear(view, event("diff", host, diff=(FILE,)), event("changed", host, result={"changes": ["change /etc/a"]}))
        hear(view, event("changed", "c", result={"changes": ["change /etc/a", "restart x: y"]}), event("task"))
    text = said(where)
    assert text.count("+++ /etc/a (0644)") == 1
    assert "a, b  etcd : Run etcd\n" in text
    assert "    -2\n    +3\n" in text
    assert "c  change /etc/a\n" in text
    assert "c  restart x: y\n" in text
    assert "a  change" not in text


def test_only_restarts_are_told_of_a_run_that_changes_things() -> None:
    where = console()
    changes = ["create /etc/a", "restart etcd.service: what it reads has changed"]
    with report.watch(where, ["a"]) as view:
        hear(view, event("task"), event("changed", "a", result={"changes": changes}))
    assert "a  restart etcd.service: what it reads has changed" in said(where)
    assert "create" not in said(where)


def test_a_terminal_shows_hosts_at_work_and_keeps_a_line_for_each_play() -> None:
    where = console(terminal=True)
    with report.watch(where, ["a", "b"]) as view:
        hear(view, event("play"), event("task"), event("start", "a"))
        where.print(view.render())
        hear(view, event("changed", "a"), event("stats"))
    text = said(where)
    assert "1 of 2 hosts at work" in text
    assert "etcd : Run etcd" in text
    assert "✓ Etcd  1 changed" in text


def test_many_hosts_fit_a_small_screen() -> None:
    where = console(terminal=True, height=10)
    view = report.View(where, [f"h{number}" for number in range(200)])
    hear(view, *(event("start", f"h{number}") for number in range(200)))
    where.print(view.render())
    assert len(said(where).splitlines()) <= 10
    assert "200 of 200 hosts at work" in said(where)


def test_markup_in_what_hosts_say_is_left_alone() -> None:
    where = console()
    with report.watch(where, ["a"]) as view:
        hear(view, event("play"), event("failed", "a", message="[/bold] :smile: [red]x"))
    report.summary(where, result("failed", failures=(Failure("[/bold] :smile:", "a", "s"),)))
    assert "[/bold] :smile: [red]x" in said(where)
    assert "    [/bold] :smile:" in said(where)


@pytest.mark.parametrize(
    ("ended", "check", "expected"),
    [
        (result(), False, "Done in 1:02 min: 1 changed"),
        (result(stats={"a": HostStats(ok=2)}), False, "Nothing to do: the hosts are as the inventory says (1:02 min)"),
        (result(), True, "1 would change; nothing was touched"),
        (result(stats={"a": HostStats(ok=2)}), True, "Nothing would change; nothing was touched"),
        (result("interrupted"), False, "run the same command again to continue"),
        (result("failed"), False, "The journal of this run: /state/runs/1"),
    ],
)
def test_last_words(ended: RunResult, check: bool, expected: str) -> None:
    where = console()
    report.summary(where, ended, check=check)
    assert expected in said(where)


def test_plain_lines_of_a_check_say_what_would_change() -> None:
    where = console()
    with report.watch(where, ["a"], check=True) as view:
        hear(view, event("play"), event("task"), event("start", "a"), event("changed", "a", seconds=1.0))
        hear(view, event("diff", "a", diff=({"before": "", "after": ""},)), event("stats"))
    assert [line[9:] for line in said(where).splitlines()] == [
        "Etcd",
        "would change a  etcd : Run etcd  (1.0 s)",
        "a  etcd : Run etcd would change something",
    ]


def test_a_drain_that_was_interrupted_leaves_a_cordoned_node() -> None:
    """The drain itself ends on the control plane; the Node is neither deleted nor given back."""
    left = (event("start", "node-3", report.DRAIN), event("start", "node-1"))
    where = console()
    report.summary(where, result("interrupted", unfinished=left))
    assert "The drain of node-3 has stopped. The node stays cordoned" in said(where)
    assert "`kubectl uncordon node-3`" in said(where)
    assert "node-1 has stopped" not in said(where)


def test_summary_of_a_failed_run_has_it_all() -> None:
    where = console()
    failures = (Failure("it broke\nwhy", "a", "etcd : Run etcd"), Failure("it broke\nwhy", "b", "etcd : Run etcd"))
    stats = {"a": HostStats(ok=1, failed=1), "b": HostStats(ok=1, failed=1), "c": HostStats(unreachable=1)}
    slow = (event("ok", "a", task="Slow", seconds=9.0), event("ok", "b", task="Slow", seconds=12.5))
    report.summary(where, result("failed", stats=stats, failures=failures, events=slow))
    text = said(where)
    assert "\na, b: etcd : Run etcd\n    it broke\n    why\n" in text
    assert "unreachable" in text
    assert "slowest: 12.5 s etcd : Slow (b)" in text
    assert "run the same command again" in text


def test_a_part_of_a_run_says_what_it_means_that_nothing_changed() -> None:
    where = console()
    report.summary(where, result(seconds=1.0, stats={"a": HostStats(ok=3)}), unchanged="No other host had to change")
    assert "No other host had to change (1.0 s)" in said(where)
    assert "Nothing to do" not in said(where)


def test_a_run_that_could_not_begin() -> None:
    where = console()
    report.summary(where, result("failed", stats={}, failures=(Failure("YAML parsing failed"),)))
    assert "The run could not begin\n    YAML parsing failed" in said(where)


def test_of_many_hosts_only_those_that_failed_are_listed() -> None:
    where = console()
    stats = {f"host{number}": HostStats(ok=1) for number in range(99)} | {"bad": HostStats(failed=1)}
    report.summary(where, result("failed", stats=stats))
    assert "bad" in said(where)
    assert "host7" not in said(where)
    assert "and 99 more without a failure" in said(where)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (FILE, "--- /etc/a (0600)\n+++ /etc/a (0644)\n@@ -1,2 +1,2 @@\n 1\n-2\n+3"),
        ({"prepared": "as it is\n"}, "as it is"),
        ({"before": None, "after": "x\n"}, "--- before\n+++ after\n@@ -0,0 +1 @@\n+x"),
        ({"before": "x", "after": "x"}, ""),
    ],
)
def test_difference(entry: dict[str, Any], text: str) -> None:
    assert report.difference(entry) == text


def test_every_problem_has_its_own_line() -> None:
    where = console()
    report.problems(where, InputError("two", problems=[Problem("h1", "no"), Problem("h2", "[x]", "do y")]))
    report.problems(where, KubeinstallError("broken", where="/f", remedy="mend it"))
    assert said(where).splitlines() == [
        "error: h1: no",
        "error: h2: [x] (do y)",
        "2 errors, and nothing was touched",
        "error: /f: broken (mend it)",
    ]
