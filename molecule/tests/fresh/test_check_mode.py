"""Check mode on hosts that the role has not seen."""

from __future__ import annotations

from tests.lab import SNAPSHOT, Lab, check_converge


def test_check_mode_foresees_changes_and_makes_none(lab: Lab) -> None:
    before = [host.check_output(SNAPSHOT) for host in lab.all]
    assert any(check_converge(lab).values()), "it foresees no change"
    assert [host.check_output(SNAPSHOT) for host in lab.all] == before
