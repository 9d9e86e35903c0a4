"""How many scenarios run side by side, and the table of them at the end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

# What the hosts of one scenario take at most, in MiB.
MEMORY = 3072


def pytest_xdist_auto_num_workers() -> int:
    """One for each core, as far as memory goes."""
    available = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    fitting = int(available[1]) // 1024 // MEMORY if available else 1
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    columns = ("scenario", "what it proves", "seconds", "what its verifier said when the service was stopped")
    table = Table(*columns, box=box.SIMPLE)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            if report.when == "call" and "scenario" in properties:
                table.add_row(
                    str(properties["scenario"]),
                    str(properties["proves"]),
                    f"{report.duration:.0f}" if outcome == "passed" else "failed",
                    str(properties.get("without its service", "")),
                )
    Console(width=160, markup=False).print(table)
