"""Nothing that a host or an API says is acted on by the terminal that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from kubeinstall.events import translate
from kubeinstall.text import printable

CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8K\x07"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain\n\ttext, ünïcödé 日本語 ✓", "plain\n\ttext, ünïcödé 日本語 ✓"),
        (f"a{CLIPBOARD}b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\b", "ab"),
        ("\x1b[1;31mred\x1b[0m\r\n", "red\n"),
        ("a\x9b2Jb\x9d0;title\x9cc", "abc"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("a\x1b]52;c;unterminated\nnext", "a]52;c;unterminated\nnext"),
        ("a\x00\x08\x0b\x0c\x7f\x85b", "ab"),
        ("user\u202egpj.exe\u2066\u200b\ufeff\u2028", "usergpj.exe"),
        ("half \ud800 a character", "half  a character"),
    ],
)
def test_printable(text: str, clean: str) -> None:
    assert printable(text) == clean


def test_printed_and_logged_events_hold_printable_text_only() -> None:
    bad = f"one{CLIPBOARD}\x1b[31m two\u202e"
    data: dict[str, Any] = {
        "host": "cp1",
        "res": {"msg": bad, "changes": [bad], "warnings": [bad], "checks": [{"problems": [bad], "detail": bad}]},
        "diff": [{"before": bad, "after": bad, "after_header": bad}],
    }
    for kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_file_diff"):
        event = translate({"event": kind, "created": "2026-01-01T00:00:00+00:00", "event_data": data})
        assert event is not None
        shown = f"{event.message!r} {event.result!r} {event.diff!r}"
        assert "one two" in shown
        assert "52;c" not in shown
        assert "u202e" not in shown
