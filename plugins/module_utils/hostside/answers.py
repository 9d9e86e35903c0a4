"""The form of what an operation answers, declared beside the operation.

Each answer is a NamedTuple, with further ones for what is nested in it: NamedTuples cost a host 2 ms, dataclasses
10 ms. A module lists its operations once, by the `operation` of the spec (`main` where there is none):

    class Drained(NamedTuple):
        changes: List[str]
        pods: List[Pod]                 # Pod is another NamedTuple
        reason: Optional[str] = None    # may be left out

    ANSWERS = {"drain": Answer(Drained), "ask": Answer(Known, reads=True)}

`main` returns a plain dictionary of this form. `plugin_utils/hostcall.py` validates it on the control node, in strict
mode: no other keys, no other types, no conversions. The action plugin gets the NamedTuple and copies what it needs:

    answer: Drained = call(self, task_vars, "drain", spec | {"operation": "drain"})
    return result | {"changed": bool(answer.changes), "changes": answer.changes}

Never merge an answer into a task's result, and never take from it the name of a host, a play, a template or a path that
the control node could have chosen itself. `Any` is for Kubernetes objects only, `Literal` for words from a fixed list.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple

# Longer than any single program that a query runs.
SECONDS = 90
# The keys by which specs grant time to wait.
WAITS = ("patience", "seconds", "timeout")


class Answer(NamedTuple):
    """What an operation answers. One that `reads` changes nothing for others; all others take the cluster lock.

    `seconds` is how long it may take by itself, a backstop: its own waits end before. What the spec lets it wait is
    added.
    """

    form: Any
    reads: bool = False
    seconds: float = SECONDS

    def limit(self, spec: Any) -> float:
        """The seconds after which the control node gives the operation up."""
        return self.seconds + sum(_waits(spec))


class Nothing(NamedTuple):
    """For an operation that only succeeds or fails."""


class Changes(NamedTuple):
    """Sentences on what was changed, or would be."""

    changes: list[str]


def _waits(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in WAITS and isinstance(item, (int, float)):
                yield float(item)
            else:
                yield from _waits(item)
    elif isinstance(value, list):
        for item in value:
            yield from _waits(item)
