"""The border between hosts and the control node: an answer is data of a declared form, or a failure of that host."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.answers import Answer
from pydantic import TypeAdapter, ValidationError

from kubeinstall.text import printable

HOSTSIDE = Path(__file__).resolve().parent.parent / "module_utils" / "hostside"
PACKAGE = "ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside"
# Bytes. The largest answers are differences of CustomResourceDefinitions, of up to 1.5 MB before and after each; what
# 300 hosts have in common (a verification, the nodes, the certificates) stays below 1 MB.
LARGEST = 32 << 20
# The deepest are schemas of CustomResourceDefinitions.
DEEPEST = 100
# Characters of a host's own message.
LONGEST_MESSAGE = 10_000
OUTCOMES = ("result", "failed", "crashed", "stalled")


class RefusedError(ValueError):
    """Why a text is no answer."""


class StalledError(Exception):
    """The operation did not end, because a device of the host does not answer."""


def answer_to(module: str, spec: Mapping[str, Any]) -> Answer:
    """What the module declares for the operation of the spec."""
    answers: Mapping[str, Answer] = import_module(f"{PACKAGE}.{module}").ANSWERS
    return answers[spec.get("operation", "main")]


def operations() -> Iterator[ModuleType]:
    """All modules of hostside that declare ANSWERS."""
    for path in sorted(HOSTSIDE.glob("*.py")):
        module = import_module(f"{PACKAGE}.{path.stem}")
        if hasattr(module, "ANSWERS"):
            yield module


def result_of(stdout: str, begin: str, end: str, module: str, form: Any) -> Any:
    """The answer between the markers as a `form`. AnsibleActionFail where it is none, or tells of a failure.

    StalledError where the host tells that the operation is blocked there.
    """
    try:
        envelope = _envelope(stdout, begin, end)
        outcome, value = next(iter(envelope.items()))
        if outcome == "result":
            return validated(value, form)
        if not isinstance(value, str):
            raise RefusedError(f"{outcome} is not a text")
    except RefusedError as error:
        raise AnsibleActionFail(
            f"the answer of this host to hostside.{module} was refused: {error}. Check which program runs there as"
            " Python (ansible_python_interpreter), and whether the host can still be trusted"
        ) from None
    if outcome == "stalled":
        raise StalledError(value[:LONGEST_MESSAGE])
    if outcome == "failed":
        raise AnsibleActionFail(value[:LONGEST_MESSAGE])
    raise AnsibleActionFail(f"hostside.{module} ended unexpectedly on the host:\n{value[-LONGEST_MESSAGE:]}")


def _envelope(stdout: str, begin: str, end: str) -> dict[str, Any]:
    if len(stdout) > LARGEST:
        raise RefusedError(f"it is larger than {LARGEST >> 20} MiB")
    if stdout.count(begin) != 1 or stdout.count(end) != 1 or stdout.index(end) < stdout.index(begin):
        raise RefusedError("its begin and end are not marked exactly once")
    text = stdout.partition(begin)[2].partition(end)[0]
    try:
        envelope = _cleaned(json.loads(text, parse_constant=_no_number))
    except RecursionError:
        raise RefusedError(f"it is nested deeper than {DEEPEST} levels") from None
    except RefusedError:
        raise
    except ValueError:
        raise RefusedError("it is not JSON") from None
    if not isinstance(envelope, dict) or len(envelope) != 1 or next(iter(envelope)) not in OUTCOMES:
        raise RefusedError(f"it is not exactly one of {', '.join(OUTCOMES)}")
    return envelope


def _no_number(name: str) -> Any:
    raise RefusedError(f"{name} is not a number")


def _cleaned(value: Any, depth: int = 0) -> Any:
    """The value with only printable text in it. RefusedError for what is no value of JSON that can be worked with."""
    if depth > DEEPEST:
        raise RefusedError(f"it is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _cleaned(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RefusedError("it holds an infinite number")
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise RefusedError("it holds an integer of more than 64 bits")
    return value


@functools.cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


class _Any(NamedTuple):
    value: Any


# What pydantic loads for the first one, the main process loads once for all of its workers.
_adapter(_Any)


def validated(value: Any, form: Any) -> Any:
    """The value as a `form`. RefusedError names the first of its parts that is not as declared."""
    try:
        return _adapter(form).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = printable(".".join(map(str, first["loc"])))[:100]
        raise RefusedError(f"{place or 'it'}: {first['msg'][:200]}") from None


def is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def plain(answer: Any) -> Any:
    """An answer, or a part of it, as dictionaries and lists: for the fields of a task's result that hold one."""
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return {name: plain(value) for name, value in zip(answer._fields, answer, strict=True)}
    if isinstance(answer, Mapping):
        return {key: plain(value) for key, value in answer.items()}
    return [plain(value) for value in answer] if isinstance(answer, list | tuple) else answer
