"""A cluster bootstrapped before the stricter defaults: what it keeps, and what it gets without losing a Secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from roles.kube_apiserver.molecule.default.tests.test_store import ETCDCTL
from roles.kube_apiserver.molecule.pods import create, pod, service_accounts
from tests.lab import Lab, check_converge, converge

KEY = "/registry/secrets/default/left-over"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "left-over", "namespace": "default"},
    "data": {"word": "c3dvcmRmaXNo"},
}


@pytest.fixture
def record(lab: Lab) -> Iterator[Path]:
    """The bootstrap record as an earlier version left it; at the end it and the cluster are as they were."""
    file = lab.inventory / ".kubeinstall/pki/formed.json"
    whole = file.read_text()
    file.write_text(json.dumps({key: value for key, value in json.loads(whole).items() if key != "defaults"}))
    yield file
    lab.kubectl("delete secret left-over --ignore-not-found")
    file.write_text(whole)
    converge(lab)


def test_it_stays_privileged_and_its_plaintext_secrets_are_read_until_they_are_encrypted(
    lab: Lab, record: Path
) -> None:
    host = lab["control_plane"][0]
    lab.sh(host, f"{ETCDCTL} put {KEY} <<'EOF'\n{json.dumps(SECRET)}\nEOF")
    # Ansible breaks the lines of warnings.
    assert "1 Secret is not encrypted in etcd: default/left-over. Encrypt with" in " ".join(converge(lab).split())
    assert json.loads(record.read_text())["defaults"]["plaintext_secrets"] is True
    secret = json.loads(lab.kubectl("get secret left-over --output=json"))
    assert secret["data"] == SECRET["data"]
    with service_accounts(lab, "default"):
        assert create(lab, "default", pod(hostNetwork=True)) == "", "it enforces a level now"
    # What the warning says.
    lab.kubectl(
        "get secrets --all-namespaces --output=json | kubectl --kubeconfig=/etc/kubernetes/admin.conf replace -f -"
    )
    assert set(check_converge(lab).values()) == {2}, "the record and the API server"
    assert "not encrypted" not in converge(lab)
    assert lab.sh(host, "cat /etc/kubernetes/encryption.yaml").count("identity") == 0
    assert json.loads(lab.kubectl("get secret left-over --output=json"))["data"] == SECRET["data"]
    assert set(check_converge(lab).values()) == {0}
