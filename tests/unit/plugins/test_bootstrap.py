"""The first start of etcd: all its members, or none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import bootstrap
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.bootstrap import begin_together
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import SharedFiles

from kubeinstall.pki import PKI

MEMBERS = ("one", "two", "three")
FRESH = {"data": "/data", "worked": False}
WORKS = {"data": "", "worked": True}
BEGUN = {"data": "", "worked": False}
LOST = {"data": "/data", "worked": True}


@pytest.fixture(autouse=True)
def temporary_directory_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(bootstrap, "SECONDS", 2)


def begin(states: dict[str, dict[str, Any]], present: tuple[str, ...] = MEMBERS) -> dict[str, str]:
    """{member: why it was refused, or nothing} of members that are compared at the same time."""
    said = {}

    def one(name: str) -> None:
        try:
            begin_together("etcd", name, MEMBERS, present, states[name])
            said[name] = ""
        except AnsibleActionFail as error:
            said[name] = str(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


@pytest.mark.parametrize(
    "states",
    [(FRESH, FRESH, FRESH), (BEGUN, FRESH, FRESH), (BEGUN, BEGUN, FRESH), (WORKS, WORKS, FRESH), (WORKS, WORKS, WORKS)],
    ids=["fresh", "one begun", "two begun", "the third never came", "living"],
)
def test_members_begin_together_and_go_on_where_a_run_was_killed(states: tuple[dict[str, Any], ...]) -> None:
    assert begin(dict(zip(MEMBERS, states, strict=True))) == dict.fromkeys(MEMBERS, "")


@pytest.mark.parametrize("states", [(BEGUN, FRESH, FRESH), (FRESH, FRESH, FRESH)], ids=["one begun", "fresh"])
def test_a_member_learns_of_a_bootstrap_that_an_earlier_run_has_begun(states: tuple[dict[str, Any], ...]) -> None:
    begun = {}

    def one(name: str, state: dict[str, Any]) -> None:
        begun[name] = begin_together("etcd", name, MEMBERS, MEMBERS, state)

    threads = [threading.Thread(target=one, args=item) for item in zip(MEMBERS, states, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == dict(zip(MEMBERS, (False, BEGUN in states, BEGUN in states), strict=True))


def test_a_token_is_the_same_for_all_members_until_the_cluster_is_bootstrapped(tmp_path: Path) -> None:
    pki = PKI(tmp_path / "pki")
    first = SharedFiles(pki)
    assert first.bootstrap_token("lab") == "lab-(made by the first run)"
    assert first.bootstraps == "lab"
    for token in ("lab-1", "lab-2"):
        pki.begin_bootstrap(token)
    # Another worker, and the next run after a kill.
    assert SharedFiles(PKI(tmp_path / "pki")).bootstrap_token("lab") == "lab-1"
    pki.ensure()
    pki.mark_formed({"cluster_id": "1"})
    # A member that joins takes the id from the others.
    assert SharedFiles(pki).bootstrap_token("lab") == "lab"
    pki.clear_formed()
    assert SharedFiles(pki).bootstrap_token("lab") == "lab-(made by the first run)"


def test_none_begins_without_the_others() -> None:
    said = begin({"one": FRESH}, present=("one",))["one"]
    assert said.startswith("etcd has no data yet, and its members begin together: two, three are not part of this run")
    said = begin({"one": FRESH, "two": FRESH}, present=("one", "two"))["two"]
    assert "three is not part of this run, by --limit or since they do not answer" in said


def test_living_members_need_nobody() -> None:
    assert begin({"one": WORKS}, present=("one",)) == {"one": ""}


def test_a_member_that_lost_its_data_does_not_begin() -> None:
    said = begin({"one": LOST, "two": WORKS, "three": WORKS})
    assert said["one"].startswith("/data is gone from this host, where etcd has worked")
    assert said["two"] == said["three"] == ""


def test_hosts_that_were_made_anew_do_not_outvote_the_one_that_was_not() -> None:
    said = begin({"one": FRESH, "two": FRESH, "three": WORKS})
    assert said["one"] == said["two"]
    assert said["one"].startswith("etcd has worked on three, and one, two are without data: too many")


def test_one_that_says_nothing_is_named() -> None:
    said = begin({"one": FRESH, "two": FRESH})
    assert "within 2 s nothing was heard of three" in said["one"]
