"""Each scenario from nothing to nothing; and that its verifier notices when the service it is about does not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios import Scenario, scenarios


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title.replace(" ", "-"))
def test_scenario(scenario: Scenario, record_property: Callable[[str, object], None], tmp_path: Path) -> None:
    record_property("scenario", scenario.title)
    record_property("proves", scenario.proves)
    # The hosts of a run that was killed: molecule would go on with them as they are.
    done = scenario.molecule("destroy")
    assert done.returncode == 0, done.stdout
    try:
        done = scenario.molecule("test", "--destroy=never")
        assert done.returncode == 0, done.stdout
        if scenario.stops_service:
            stopped = scenario.molecule("side-effect")
            assert stopped.returncode == 0, stopped.stdout
            sentence = scenario.first_failure(tmp_path / "report.xml")
            assert sentence, "its verifier finds nothing wrong while the service is stopped"
            record_property("without its service", sentence)
    finally:
        done = scenario.molecule("destroy")
    assert done.returncode == 0, done.stdout
