"""What the verifiers of the molecule scenarios share: the scenario's lab, and the journals where a test fails."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.lab import Lab


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Lab:
    """The hosts of the scenario under test; the option is testinfra's, which molecule gives."""
    return Lab(Path(str(request.config.getoption("--ansible-inventory"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, Lab) and (unit := os.environ.get("UNIT")):
        for host in lab.all:
            report.sections.append((f"journal of {unit} on {lab.name(host)}", lab.journal(host, unit)))
    return report
