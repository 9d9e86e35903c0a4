"""In which order a command checks, gets components and runs; the runs themselves are those of tests/cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeinstall import cli_runs
from kubeinstall.components import Catalogue
from kubeinstall.events import RunResult

HOSTS = """\
etcd: {hosts: {control-1: }}
control_plane: {hosts: {control-1: {ansible_host: 192.0.2.11}}}
"""
ADDED = {"membership_welcome": ["control-1"]}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(cli_runs, "_fetch", lambda missing: found.append(("fetch", dict(missing))))

    def play(_cluster: Any, _inventory: Path, playbooks: list[str], **options: Any) -> RunResult:
        found.append((playbooks, options))
        return RunResult("ok", {}, (), (), 1.0, Path())

    monkeypatch.setattr(cli_runs, "play", play)
    monkeypatch.setattr(cli_runs, "_play", play)
    return found


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "hosts.yml").write_text(HOSTS)
    return tmp_path


def provision(inventory: Path, *, check: bool) -> None:
    cli_runs.provision(inventory, ["site"], check=check, diff=False, limit="", extra_vars=ADDED)


def test_a_check_gets_nothing_and_says_what_is_missing(
    inventory: Path, steps: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    provision(inventory, check=True)
    assert [step[0] for step in steps] == [["site"]]
    catalogue = Catalogue.load()
    wanted = [name for name, component in catalogue.components.items() if not component.optional]
    assert capsys.readouterr().out.splitlines() == [
        f"{name} {catalogue.default(name)} is not in the cache: it would be fetched or built" for name in sorted(wanted)
    ]
    assert not (inventory / "cache").exists()


def test_a_run_makes_the_preflight_checks_before_it_gets_anything(inventory: Path, steps: list[Any]) -> None:
    provision(inventory, check=False)
    preflight, fetch, site = steps
    assert preflight[0] == ["preflight"]
    # As for the run itself: a host that is added again on purpose is not refused; and no summary in the middle.
    assert preflight[1] == {"check": True, "limit": "", "extra_vars": ADDED, "summary": False}
    assert fetch[1]["kubernetes"] == Catalogue.load().default("kubernetes")
    assert site[0] == ["site"]
