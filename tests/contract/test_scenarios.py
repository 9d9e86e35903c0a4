"""Every role is proven by a scenario, and the documents made of the tree are what the tree says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.scenarios import ROLES, ROOT, Scenario, scenarios
from tools.documents import documents


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_scenario(role: str) -> None:
    assert ROOT / "roles" / role / "molecule" / "default" in [scenario.folder for scenario in scenarios()]


def test_the_whole_cluster_has_one() -> None:
    assert ROOT / "molecule" / "cluster" in [scenario.folder for scenario in scenarios()]


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title)
def test_a_scenario_says_what_it_proves_and_has_tests_of_it(scenario: Scenario) -> None:
    assert scenario.proves.endswith("."), "the first line of its molecule.yml says what it proves"
    assert any("def test_" in path.read_text() for path in scenario.folder.glob("tests/test_*.py"))


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title)
def test_a_scenario_runs_its_role_by_the_playbook_that_users_run(scenario: Scenario) -> None:
    plays = yaml.safe_load((scenario.folder / "converge.yml").read_text())
    playbook = "site" if scenario.project == ROOT else scenario.project.name
    imported = [play.get("ansible.builtin.import_playbook", "") for play in plays]
    assert [path for path in imported if re.search(rf"/playbooks/{playbook}\.yml$", path)]


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.title)
def test_a_scenario_names_what_is_stopped_to_see_its_verifier_fail(scenario: Scenario) -> None:
    ansible = yaml.safe_load((scenario.folder / "molecule.yml").read_text())["ansible"]
    own = ansible.get("playbooks", {}).get("side_effect", "")
    assert ansible["env"].get("UNIT") or (scenario.folder / own).is_file()


@pytest.mark.parametrize(("path", "text"), documents().items(), ids=lambda value: getattr(value, "name", ""))
def test_documents_are_what_the_tree_says(path: Path, text: str) -> None:
    assert path.read_text() == text, "`make docs` writes it anew"
