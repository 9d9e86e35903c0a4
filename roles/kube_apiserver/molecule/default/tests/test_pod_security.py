"""Which pods the API server admits on a new cluster, where no input says otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from roles.kube_apiserver.molecule.pods import VIOLATIONS, create, pod, service_accounts
from tests.lab import Lab, check_converge


@pytest.fixture(scope="module", autouse=True)
def accounts(lab: Lab) -> Iterator[None]:
    with service_accounts(lab, "default", "kube-system"):
        yield


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_pod_that_violates_baseline_is_refused(lab: Lab, violation: str) -> None:
    with pytest.raises(AssertionError, match='violates PodSecurity "baseline:latest"'):
        create(lab, "default", pod(**VIOLATIONS[violation]))


def test_an_ordinary_pod_is_admitted_without_a_warning(lab: Lab) -> None:
    assert create(lab, "default", pod()) == ""


def test_kube_system_is_exempt(lab: Lab) -> None:
    for violation in VIOLATIONS.values():
        assert create(lab, "kube-system", pod(**violation)) == ""


def test_a_namespace_label_wins_over_the_default(lab: Lab) -> None:
    lab.kubectl("label namespace default --overwrite pod-security.kubernetes.io/enforce=privileged")
    try:
        assert "would violate PodSecurity" in create(lab, "default", pod(hostNetwork=True))
    finally:
        lab.kubectl("label namespace default pod-security.kubernetes.io/enforce-")


def test_another_run_changes_nothing(lab: Lab) -> None:
    assert set(check_converge(lab).values()) == {0}
