"""Which pods the API server admits where the inventory says so."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from roles.kube_apiserver.molecule.pods import create, pod, service_accounts
from tests.lab import Lab, eventually


@pytest.fixture(scope="module", autouse=True)
def accounts(lab: Lab) -> Iterator[None]:
    lab.kubectl("delete namespace storage --ignore-not-found --wait=false")
    lab.kubectl("create namespace storage")
    try:
        with service_accounts(lab, "default", "kube-system", "storage"):
            yield
    finally:
        lab.kubectl("delete namespace storage --wait=false")


def test_a_pod_is_admitted_with_a_warning_at_the_level_of_warn(lab: Lab) -> None:
    assert 'would violate PodSecurity "baseline:latest"' in create(lab, "default", pod(hostNetwork=True))
    assert create(lab, "default", pod()) == ""


def test_a_pod_is_marked_in_the_audit_log_at_the_level_of_audit(lab: Lab) -> None:
    create(lab, "default", pod("marked"))
    eventually(lambda: 'would violate PodSecurity "restricted:latest"' in violations(lab, "marked"), 10, "it is marked")


@pytest.mark.parametrize("namespace", ["kube-system", "storage"])
def test_exempt_namespaces(lab: Lab, namespace: str) -> None:
    assert create(lab, namespace, pod("exempt", hostNetwork=True)) == ""
    assert violations(lab, "exempt") == ""


def violations(lab: Lab, name: str) -> str:
    log = lab.sh(lab["control_plane"][0], "tail --lines=200 /var/log/kubernetes/audit.log")
    entries = [json.loads(line) for line in log.splitlines()]
    found = [entry for entry in entries if entry.get("objectRef", {}).get("name") == name]
    return "".join(
        entry.get("annotations", {}).get("pod-security.kubernetes.io/audit-violations", "") for entry in found
    )
