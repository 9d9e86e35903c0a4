"""Each scenario from nothing to nothing; and that its verifier notices when the service it is about does not run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios import Scenario, scenarios

# Of what molecule prints: the failure is at its end, and a log may keep only the beginning of a long message.
LAST_LINES = 60


def succeeded(done: subprocess.CompletedProcess[str]) -> None:
    print(done.stdout)
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-LAST_LINES:])


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title.replace(" ", "-"))
def test_scenario(scenario: Scenario, record_property: Callable[[str, object], None], tmp_path: Path) -> None:
    record_property("scenario", scenario.title)
    record_property("proves", scenario.proves)
    # The hosts of a run that was killed: molecule would go on with them as they are.
    succeeded(scenario.molecule("destroy"))
    try:
        succeeded(scenario.molecule("test", "--destroy=never"))
        if scenario.stops_service:
            succeeded(scenario.molecule("side-effect"))
            sentence = scenario.first_failure(tmp_path / "report.xml")
            assert sentence, "its verifier finds nothing wrong while the service is stopped"
            record_property("without its service", sentence)
    finally:
        destroyed = scenario.molecule("destroy")
    succeeded(destroyed)
