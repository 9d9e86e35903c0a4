"""What happens in a run, as small frozen facts: translated from ansible-runner's events, free of its names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kubeinstall.errors import RunError
from kubeinstall.results import R, RefusedError, messages, parse
from kubeinstall.text import printable

__all__ = ["OUTCOMES", "Event", "Failure", "HostStats", "RunResult", "host_stats", "plain", "translate"]

OUTCOMES = ("ok", "changed", "failed", "unreachable", "skipped")

_KINDS = {
    "playbook_on_play_start": "play",
    "playbook_on_task_start": "task",
    "playbook_on_handler_task_start": "task",
    "playbook_on_stats": "stats",
    "runner_on_start": "start",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
    "runner_on_file_diff": "diff",
    "runner_retry": "retry",
    "warning": "warning",
    "system_warning": "warning",
}
# Ansible wraps a message once for each layer it came through.
_WRAPPERS = re.compile(r"^(?:(?:Task|Module|Action) failed: )+")
_LAST_LINES = 30


@dataclass(frozen=True)
class Event:
    """One fact. `kind` is play, task, start, an outcome of OUTCOMES, diff, retry, warning, stopping or stats.

    `time` is in seconds since the epoch, `seconds` how long the host took for the task. `result` is what the task
    returned (without its arguments), or the counts of a stats event; `diff` is Ansible's list of differences.
    """

    kind: str
    time: float
    play: str = ""
    role: str = ""
    task: str = ""
    host: str = ""
    seconds: float = 0.0
    message: str = ""
    ignored: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)
    diff: Sequence[Mapping[str, Any]] = ()

    @property
    def step(self) -> str:
        """The task with its role, the way Ansible prints it."""
        return f"{self.role} : {self.task}" if self.role else self.task


@dataclass(frozen=True)
class Failure:
    """What went wrong. `host` is empty when the run failed as a whole (a playbook that cannot be read)."""

    message: str
    host: str = ""
    step: str = ""
    unreachable: bool = False


@dataclass(frozen=True)
class HostStats:
    """How many tasks ended how on one host; `ok` counts the changed ones too, as Ansible's own recap does."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0

    @property
    def good(self) -> bool:
        return not self.failed and not self.unreachable


@dataclass(frozen=True)
class RunResult:
    """How a run ended: `status` is ok, failed or interrupted; `seconds` its length; `directory` holds its journal.

    `unfinished` are the starts of tasks that an interrupted run did not see the end of.
    """

    status: str
    stats: Mapping[str, HostStats]
    failures: tuple[Failure, ...]
    events: tuple[Event, ...]
    seconds: float
    directory: Path
    unfinished: tuple[Event, ...] = ()

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        return sum(host.changed for host in self.stats.values())

    def results(self, kind: type[R], hosts: Collection[str]) -> tuple[dict[str, R], list[str]]:
        """The last result of this kind of each of the hosts, and what kept the run or a host from giving one.

        A host without a valid result has a sentence among the latter, whatever the run's status is.
        """
        found, refused = self._found(kind)
        problems = [f"{one.host}: {one.message}" if one.host else one.message for one in self.failures]
        failed = {one.host for one in self.failures}
        for host in dict.fromkeys(hosts):
            if host in refused:
                problems.append(f"{host}: its result was refused: {refused[host]}. See the run log in {self.directory}")
            elif host not in found and host not in failed:
                problems.append(f"{host}: no result ({kind.kind}) of this host. See the run log in {self.directory}")
        return {host: found[host] for host in hosts if host in found}, problems

    def required(self, kind: type[R], hosts: Collection[str]) -> dict[str, R]:
        """The same. Raises RunError with all that is missing."""
        found, problems = self.results(kind, hosts)
        if problems:
            raise RunError("\n".join(problems))
        return found

    def one(self, kind: type[R]) -> R:
        """The last result of a kind that the run has once. Raises RunError where there is none."""
        found, refused = self._found(kind)
        if refused or not found:
            host = next(iter(refused or self.stats), "")
            self.required(kind, [host])
            raise RunError(f"no result ({kind.kind}) of the run. See the run log in {self.directory}")
        return list(found.values())[-1]

    def _found(self, kind: type[R]) -> tuple[dict[str, R], dict[str, RefusedError]]:
        """The last valid result of each host, and why another one was refused."""
        found: dict[str, R] = {}
        refused: dict[str, RefusedError] = {}
        for event in self.events:
            for told in messages(event.result) if event.kind in ("ok", "changed") else ():
                if told.get("kind") != kind.kind:
                    continue
                try:
                    found[event.host] = parse(kind, told)
                except RefusedError as error:
                    refused[event.host] = error
        return {host: one for host, one in found.items() if host not in refused}, refused


def translate(raw: Mapping[str, Any]) -> Event | None:
    """The fact in one of ansible-runner's events; None for those that say nothing of their own."""
    kind = _KINDS.get(str(raw.get("event")))
    if kind is None:
        return None
    data = raw.get("event_data") or {}
    result = _printable(data.get("res") or {})
    message = ""
    if kind == "ok" and result.get("changed"):
        kind = "changed"
    if kind in ("failed", "unreachable"):
        message = _failure_message(result)
    elif kind == "warning":
        message = plain(str(raw.get("stdout", ""))).removeprefix("[WARNING]: ")
    elif kind == "stats":
        result = {key: data.get(key) or {} for key in ("ok", "changed", "failures", "dark", "skipped", "processed")}
    return Event(
        kind=kind,
        time=datetime.fromisoformat(raw["created"]).timestamp(),
        play=data.get("play") or data.get("name") or "",
        role=data.get("role") or "",
        task=data.get("task") or "",
        host=data.get("host") or "",
        seconds=float(data.get("duration") or 0.0),
        message=message,
        ignored=bool(data.get("ignore_errors")),
        result={key: value for key, value in result.items() if key != "invocation" and not key.startswith("_ansible")},
        diff=_diff(_printable(data.get("diff"))),
    )


def host_stats(counts: Mapping[str, Mapping[str, int]]) -> dict[str, HostStats]:
    """The counts of a stats event, by host."""
    return {
        host: HostStats(
            ok=counts["ok"].get(host, 0),
            changed=counts["changed"].get(host, 0),
            failed=counts["failures"].get(host, 0),
            unreachable=counts["dark"].get(host, 0),
            skipped=counts["skipped"].get(host, 0),
        )
        for host in sorted(counts["processed"])
    }


def _printable(value: Any) -> Any:
    """The value with only printable text in it: whatever it comes from, it may be shown."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list | tuple) else value


def _diff(value: object) -> Sequence[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return (value,)
    return tuple(one for one in value if isinstance(one, Mapping)) if isinstance(value, Sequence) else ()


def plain(text: str) -> str:
    """What a program printed to a terminal, without what that acts on."""
    return printable(text).strip()


def _failure_message(result: Mapping[str, Any]) -> str:
    """The message, then what a failed program printed last; for a loop, those of the items that failed."""
    items = [one for one in result.get("results") or () if isinstance(one, Mapping) and one.get("failed")]
    if items:
        return "\n".join(_failure_message(one) for one in items)
    if isinstance(limit := result.get("timedout"), Mapping):
        return f"no answer within {limit.get('period')} s"
    message = str(result.get("msg") or result.get("censored") or "failed without a message")
    parts = [_WRAPPERS.sub("", printable(message))]
    for key in ("module_stderr", "stderr", "module_stdout", "stdout"):
        text = plain(str(result.get(key) or ""))
        if text and text not in parts[0]:
            parts.append("\n".join(text.splitlines()[-_LAST_LINES:]))
    return "\n".join(parts)
