"""Check mode on hosts where all is as the role wants it."""

from __future__ import annotations

from tests.lab import Lab, check_converge


def test_check_mode_foresees_no_change(lab: Lab) -> None:
    assert not any(check_converge(lab).values())
