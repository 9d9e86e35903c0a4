"""What a run looks like: live on a terminal, plain lines with the time elsewhere; then how it ended, and what to do."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kubeinstall.errors import InputError, KubeinstallError
from kubeinstall.events import OUTCOMES, Event, Failure, HostStats, RunResult
from kubeinstall.text import printable

__all__ = ["View", "difference", "problems", "summary", "waits", "watch"]

# Above so many hosts only those that need a look are listed.
_MANY_HOSTS = 30
_SLOW_SECONDS = 1.0
# Plain output names hosts that a step has waited for, after so many seconds and then each minute.
_WAITS = (10.0, 30.0, 60.0)
# The task that drains a node, in each playbook that does.
DRAIN = "Drain the node"
_STYLES = {"changed": "yellow", "failed": "bold red", "unreachable": "bold red", "ok": "green", "skipped": "dim"}


def problems(console: Console, error: KubeinstallError) -> None:
    """An error, every problem of it on a line of its own."""
    found = [str(problem) for problem in error.problems] if isinstance(error, InputError) else [str(error)]
    for text in found:
        console.print(f"error: {printable(text)}", style="red", markup=False, highlight=False, soft_wrap=True)
    if len(found) > 1:
        console.print(f"{len(found)} errors, and nothing was touched", style="bold red", highlight=False)


@contextmanager
def watch(console: Console, hosts: Sequence[str], *, check: bool = False, said: Collection[str] = ()) -> Iterator[View]:
    """A view to hand a run's events to. On a terminal it lists the hosts and what each does, until the run is over.

    `said` are warnings that the user has read already.
    """
    view = View(console, hosts, check=check, said=said)
    if not console.is_terminal:
        with _ticking(view):
            yield view
        view.flush()
        return
    with Live(get_renderable=view.render, console=console, refresh_per_second=5, transient=True):
        yield view
        view.flush()


@contextmanager
def waits(console: Console) -> Iterator[Waits]:
    """For a run that shows nothing else: names the hosts that are waited for."""
    found = Waits(console)
    with _ticking(found):
        yield found


@contextmanager
def _ticking(waits: Waits) -> Iterator[None]:
    over = threading.Event()

    def tick() -> None:
        while not over.wait(1.0):
            waits.tell()

    # No event comes while a host is silent.
    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield
    finally:
        over.set()
        clock.join()


class Waits:
    """What each host is at, and since when."""

    def __init__(self, console: Console, hosts: Sequence[str] = ()) -> None:
        self._console = console
        # Another thread reads it: the one that draws the screen, or that names the hosts that are waited for.
        self._lock = threading.Lock()
        self._doing = dict.fromkeys(hosts, ("", 0.0))
        # How often each host was named since its step began.
        self._told: dict[str, int] = {}

    def hear(self, event: Event) -> None:
        """Takes an event as it happens."""
        if event.kind == "start" or event.kind in OUTCOMES:
            self._set(event.host, event.step if event.kind == "start" else "")

    def _set(self, host: str, step: str) -> None:
        with self._lock:
            self._doing[host] = (step, time.monotonic())
            self._told.pop(host, None)

    def tell(self) -> None:
        """Names the hosts whose step takes long, with the step and for how long: seldom, in one line for each step."""
        now, due = time.monotonic(), dict[str, list[tuple[str, float]]]()
        with self._lock:
            for host, (step, since) in self._doing.items():
                told = self._told.get(host, 0)
                if step and now - since >= _wait(told):
                    self._told[host] = told + 1
                    due.setdefault(step, []).append((host, now - since))
        for step, hosts in due.items():
            names = _names([host for host, _ in hosts])
            longest = max(seconds for _, seconds in hosts)
            self._line(Text.assemble("waiting for ", (names, "bold"), f" ({step}), {_whole(longest)}"))

    def _line(self, text: Text, *, stamp: bool = True) -> None:
        if stamp and not self._console.is_terminal:
            text = Text(time.strftime("%H:%M:%S ")) + text
        self._console.print(text, soft_wrap=True, highlight=False)


class View(Waits):
    """Hears a run's events. What is done becomes lines that stay; what goes on is drawn below them."""

    def __init__(
        self, console: Console, hosts: Sequence[str], *, check: bool = False, said: Collection[str] = ()
    ) -> None:
        super().__init__(console, hosts)
        self._check = check
        self._said = set(said)
        self._started = time.monotonic()
        self._title = "Starting"
        self._play: tuple[str, float] | None = None
        # A play is shown with its first task: many have no hosts in most runs.
        self._next = ""
        self._changed = 0
        self._failed = False
        # The texts of the task under way, with the hosts that they are true of.
        self._same: dict[str, list[str]] = {}
        self._diffs: dict[tuple[str, str], list[str]] = {}

    def hear(self, event: Event) -> None:
        """Takes an event as it happens."""
        if event.kind in ("play", "task", "stats"):
            self.flush()
        if event.kind in ("play", "stats"):
            self._end_play()
        if event.kind == "stats":
            self._title = "Finishing"
        elif event.kind == "play":
            self._next = event.play
        elif event.kind == "task":
            if self._next:
                self._begin_play(self._next)
        elif event.kind == "stopping":
            self._title = "Stopping"
            self._line(Text("stopping: this takes some seconds", "yellow"))
        elif event.kind == "warning":
            self._line(Text(f"warning: {event.message}", "yellow"))
        elif event.kind == "diff":
            if shown := [text for one in event.diff if (text := difference(one))]:
                self._diffs.setdefault((event.host, event.step), []).extend(shown)
        elif event.kind == "start":
            self._set(event.host, event.step)
        elif event.kind in OUTCOMES:
            self._outcome(event)

    def flush(self) -> None:
        """Says what was true of several hosts at once, with their names."""
        same: dict[tuple[str, str], list[str]] = {}
        for (host, step), diffs in self._diffs.items():
            same.setdefault((step, "\n".join(diffs)), []).append(host)
        for (step, diff), hosts in same.items():
            self._line(Text.assemble((_names(hosts), "bold"), f"  {step}"))
            self._line(_coloured(diff), stamp=False)
        for text, hosts in self._same.items():
            self._line(Text.assemble((_names(hosts), "bold"), (f"  {text}", "yellow")))
        self._same.clear()
        self._diffs.clear()

    def render(self) -> RenderableType:
        """The part of the screen that moves."""
        with self._lock:
            doing = dict(self._doing)
        now = time.monotonic()
        table = Table.grid(padding=(0, 2))
        busy = [(host, step, since) for host, (step, since) in doing.items() if step]
        for host, step, since in busy[: max(1, self._console.height - 4)]:
            table.add_row(Text(host, "bold"), Text(step, "cyan"), Text(_seconds(now - since), "dim"))
        at_work = f"  {len(busy)} of {len(doing)} hosts at work" if busy else ""
        return Group(
            Text.assemble((self._title, "bold"), f"  {_seconds(now - self._started)}", (at_work, "dim")), table
        )

    def _begin_play(self, name: str) -> None:
        self._title, self._next = name, ""
        self._play, self._changed, self._failed = (name, time.monotonic()), 0, False
        if not self._console.is_terminal:
            self._line(Text(name))

    def _end_play(self) -> None:
        if self._play is None:
            return
        name, since = self._play
        self._play = None
        if not self._console.is_terminal:
            return
        mark, style = ("✗", "red") if self._failed else ("✓", "green")
        changed = f"{self._changed} {'would change' if self._check else 'changed'}" if self._changed else ""
        self._line(
            Text.assemble(
                (mark, style), f" {name}  ", (changed, "yellow"), (f"  {_seconds(time.monotonic() - since)}", "dim")
            )
        )

    def _outcome(self, event: Event) -> None:
        self._set(event.host, "")
        for warning in map(str, event.result.get("warnings") or ()):
            if warning not in self._said:
                self._said.add(warning)
                self._line(Text(f"warning: {warning}", "yellow"))
        if event.kind in ("failed", "unreachable") and not event.ignored:
            self._failed = True
            first = event.message.partition("\n")[0]
            self._line(Text.assemble((f"{event.kind} {event.host}  {event.step}: ", "bold red"), first))
        elif event.kind == "changed":
            self._changed += 1
            sentences = [str(one) for one in event.result.get("changes") or ()]
            if (event.host, event.step) in self._diffs:
                shown = []
            elif self._check:
                shown = sentences or [f"{event.step} would change something"]
            else:
                # On a cluster at work a restart is what people want to know of.
                shown = [one for one in sentences if one.startswith("restart ")]
            for one in shown:
                self._same.setdefault(one, []).append(event.host)
            if not self._console.is_terminal:
                verb = "would change" if self._check else "changed"
                self._line(Text(f"{verb} {event.host}  {event.step}  ({_seconds(event.seconds)})"))


def difference(entry: Mapping[str, Any]) -> str:
    """One of Ansible's differences as a unified diff with two lines of context."""
    if "prepared" in entry:
        return str(entry["prepared"]).rstrip("\n")
    lines = difflib.unified_diff(
        _lines_of(entry.get("before")),
        _lines_of(entry.get("after")),
        str(entry.get("before_header") or "before"),
        str(entry.get("after_header") or "after"),
        n=2,
        lineterm="",
    )
    return "\n".join(lines)


def _coloured(diff: str) -> Text:
    text = Text()
    for line in diff.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        text.append(f"    {line}\n", "bold" if line.startswith(("+++ ", "--- ")) else style)
    text.rstrip()
    return text


def summary(console: Console, result: RunResult, *, check: bool = False, unchanged: str = "") -> None:
    """How a run ended: the hosts, the slowest steps, the failures in full, where the journal is and what to do.

    `unchanged` is what it means that nothing changed, where the run was a part of something else.
    """
    if result.stats:
        listed = result.stats
        if len(listed) > _MANY_HOSTS:
            listed = {host: one for host, one in listed.items() if not one.good}
        console.print(_hosts_table(listed, check=check))
        if rest := len(result.stats) - len(listed):
            console.print(f"and {rest} more without a failure")
    slow = list(_slowest(result.events))[:3]
    if slow:
        console.print(Text("slowest: " + "  ·  ".join(slow), "dim"), soft_wrap=True)
    for text in _failure_blocks(result.failures):
        console.print(text, soft_wrap=True, highlight=False)
    if unchanged and result.status == "ok" and not result.changed:
        console.print(Text(f"{unchanged} ({_seconds(result.seconds)})", "bold"), soft_wrap=True, highlight=False)
        return
    console.print(_last_words(result, check=check), soft_wrap=True, highlight=False)


def _hosts_table(stats: Mapping[str, HostStats], *, check: bool) -> Table:
    changed = "would change" if check else "changed"
    table = Table("host", "ok", changed, "failed", box=None, pad_edge=False, header_style="dim")
    for host, one in stats.items():
        failed = "unreachable" if one.unreachable else str(one.failed or "")
        style = "red" if failed else "yellow" if one.changed else "green"
        table.add_row(Text(host, style), str(one.ok), str(one.changed or ""), Text(failed, "red"))
    return table


def _slowest(events: Iterable[Event]) -> Iterator[str]:
    """The steps by the time that their slowest host took, longest first."""
    longest: dict[str, Event] = {}
    for event in events:
        if event.kind in OUTCOMES and event.seconds > longest.get(event.step, event).seconds - 1e-9:
            longest[event.step] = event
    for event in sorted(longest.values(), key=lambda one: -one.seconds):
        if event.seconds >= _SLOW_SECONDS:
            yield f"{_seconds(event.seconds)} {event.step} ({event.host})"


def _failure_blocks(failures: Iterable[Failure]) -> Iterator[Text]:
    same: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        same.setdefault((failure.step, failure.message), []).append(failure.host)
    for (step, message), hosts in same.items():
        head = f"\n{_names(hosts)}: {step}\n" if any(hosts) else "\nThe run could not begin\n"
        yield Text(head, "bold red") + Text("\n".join(f"    {line}" for line in message.splitlines()))


def _last_words(result: RunResult, *, check: bool) -> Text:
    took = _seconds(result.seconds)
    if result.status == "interrupted":
        what = Text(f"\nInterrupted after {took}. Completed steps are kept", "bold yellow")
        cordoned = "".join(
            _stopped_drain(event.host) for event in result.unfinished if event.task == DRAIN and not check
        )
        return what + Text(f"; run the same command again to continue.\n{cordoned}") + _journal(result)
    if result.status == "failed":
        what = Text(f"\nFailed after {took}.", "bold red")
        return (
            what
            + Text(" Mend the cause, then run the same command again: what is done stays done.\n")
            + _journal(result)
        )
    if check:
        text = f"{result.changed} would change" if result.changed else "Nothing would change"
        return Text(f"{text}; nothing was touched ({took})", "bold")
    if result.changed:
        return Text(f"Done in {took}: {result.changed} changed", "bold green")
    return Text(f"Nothing to do: the hosts are as the inventory says ({took})", "bold green")


def _stopped_drain(host: str) -> str:
    return (
        f"The drain of {host} has stopped. The node stays cordoned: run the same command again, or make it schedulable"
        f" with `kubectl uncordon {host}`.\n"
    )


def _journal(result: RunResult) -> Text:
    return Text(f"The journal of this run: {result.directory}", "dim")


def _names(hosts: Sequence[str]) -> str:
    return ", ".join(hosts) if len(hosts) <= _MANY_HOSTS else f"{', '.join(hosts[:5])} and {len(hosts) - 5} more"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60}:{int(value) % 60:02d} min"


def _whole(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 60 else _seconds(seconds)


def _wait(number: int) -> float:
    """The seconds after which a host is named for this time, counted from 0."""
    return _WAITS[number] if number < len(_WAITS) else _WAITS[-1] * (number - len(_WAITS) + 2)


def _lines_of(value: object) -> list[str]:
    return str("" if value is None else value).splitlines()
