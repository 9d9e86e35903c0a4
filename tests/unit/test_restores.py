"""What a restore of etcd decides on the control node."""

from __future__ import annotations

import pytest

from kubeinstall.errors import KubeinstallError
from kubeinstall.restores import MARGIN, goes_forward, target_revision

NOW = 1_800_000_000
# What version 0.1 added to the revision of the snapshot with each restore.
BEFORE = NOW * 10_000


@pytest.mark.parametrize(
    ("revisions", "clock", "recorded"),
    [
        ([5000], NOW, 0),
        ([5000, 0, 4000], 0, 0),
        # Restored twice by version 0.1, the second time from a backup made after the first.
        ([2 * BEFORE], NOW, 0),
        ([2 * BEFORE], 0, 0),
        # Set back a year, after a restore by a right clock.
        ([BEFORE + 70], NOW - 31_536_000, BEFORE),
        # No member's data can be read.
        ([0, 0], NOW, 0),
        ([0], 0, BEFORE),
        ([], 0, 0),
    ],
)
def test_the_target_is_above_everything_that_was_handed_out(revisions: list[int], clock: int, recorded: int) -> None:
    target = target_revision(revisions, [clock], recorded)
    assert target >= max(*revisions, recorded, 0, 0) + MARGIN
    assert target >= clock * 10_000
    # Fifty restores by version 0.1, none of which left a record.
    assert any(revisions) or target > 50 * BEFORE


def test_targets_of_any_sequence_of_restores_go_up() -> None:
    reached = recorded = 100
    for clock in (NOW, 0, NOW - 1000, 5, NOW):
        target = target_revision([reached], [clock], recorded)
        assert target > reached
        reached, recorded = target + 50, target


def test_a_revision_that_leaves_none_is_refused() -> None:
    with pytest.raises(KubeinstallError, match="no higher one is left"):
        target_revision([2**62], [NOW], 0)


@pytest.mark.parametrize(
    ("data", "back", "forward"),
    [
        (["staged", "staged", "staged"], False, False),
        (["restored", "staged", "staged"], False, False),
        (["restored", "half", "staged"], False, False),
        (["restored", "restored", "half"], False, True),
        (["restored", "restored", "restored"], False, True),
        (["restored", "restored", "before"], True, False),
        (["restored", "restored", "staged", "staged"], False, False),
        (["restored"], False, True),
        (["half"], False, False),
    ],
)
def test_the_side_that_can_have_a_quorum_wins(data: list[str], back: bool, forward: bool) -> None:
    members = {f"m{number}": found for number, found in enumerate(data)}
    assert goes_forward(members, back=back) is forward
