"""Programs whose arguments are to be checked come into the cache before a run, and only where they can be asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.action import validate

from kubeinstall.cluster.arguments import Program
from kubeinstall.cluster.reports import Facts, Report
from kubeinstall.components.catalogue import MACHINES, machine_architecture

KUBELET = Program("kubelet", "1.37.1")
MACHINE, OTHER = sorted(("x86_64", "aarch64"), key=lambda machine: MACHINES[machine] != machine_architecture())


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(validate, "fetch", lambda names, **more: calls.append((names, more["versions"])))
    return calls


def report(machine: str) -> Report:
    return Report(facts=Facts(python="3.9.2", user="root", root=True, machine=machine))


def test_what_lacks_is_fetched(fetched: list[Any]) -> None:
    assert validate._fetched(frozenset({KUBELET}), {"a": report(OTHER), "b": report(MACHINE)})
    assert fetched == [(["kubelet"], {"kubernetes": "1.37.1"})]


@pytest.mark.parametrize("machine", [OTHER, "riscv64"])
def test_not_for_other_machines(fetched: list[Any], machine: str) -> None:
    assert not validate._fetched(frozenset({KUBELET}), {"a": report(machine)})
    assert fetched == []


def test_nothing_where_all_was_checked(fetched: list[Any]) -> None:
    assert not validate._fetched(frozenset(), {"a": report(MACHINE)})
    assert fetched == []
