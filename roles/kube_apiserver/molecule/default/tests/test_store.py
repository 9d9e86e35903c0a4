"""What becomes of what the API is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from roles.kube_apiserver.molecule.caller import Caller
from tests.lab import Lab, eventually

ETCDCTL = (
    "etcdctl --cacert=/etc/etcd/pki/ca.crt --cert=/etc/etcd/pki/healthcheck-client.crt"
    " --key=/etc/etcd/pki/healthcheck-client.key --command-timeout=5s"
)
CONTENT = "swordfish"
BOTH = "secret/kept configmap/kept"


def in_etcd(lab: Lab, key: str) -> bytes:
    """What etcd keeps there, as it keeps it."""
    found = json.loads(lab.sh(lab["control_plane"][0], f"{ETCDCTL} get {key} --write-out=json"))
    return base64.b64decode(found["kvs"][0]["value"])


@pytest.fixture
def kept(lab: Lab) -> Iterator[None]:
    """A Secret and a ConfigMap of the same content."""
    lab.kubectl(f"delete --ignore-not-found {BOTH}")
    lab.kubectl(f"create secret generic kept --from-literal=word={CONTENT}")
    lab.kubectl(f"create configmap kept --from-literal=word={CONTENT}")
    yield
    lab.kubectl(f"delete {BOTH}")


def check_kept(lab: Lab) -> bool:
    secret, other = [found["data"]["word"] for found in lab.objects(BOTH)]
    return (base64.b64decode(secret).decode(), other) == (CONTENT, CONTENT)


@pytest.mark.usefixtures("kept")
def test_secrets_lie_encrypted_in_etcd(lab: Lab) -> None:
    assert CONTENT.encode() in in_etcd(lab, "/registry/configmaps/default/kept")
    secret = in_etcd(lab, "/registry/secrets/default/kept")
    assert secret.startswith(b"k8s:enc:secretbox:v1:key1:")
    assert CONTENT.encode() not in secret
    assert check_kept(lab)


def test_a_plaintext_secret_planted_in_etcd_is_refused(lab: Lab) -> None:
    host, key = lab["control_plane"][0], "/registry/secrets/default/planted"
    planted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted", "namespace": "default"}}
    lab.sh(host, f"{ETCDCTL} put {key} <<'EOF'\n{json.dumps(planted)}\nEOF")
    try:
        with pytest.raises(AssertionError, match="no matching prefix found"):
            lab.kubectl("get secret planted")
    finally:
        lab.sh(host, f"{ETCDCTL} del {key}")
    eventually(lambda: lab.objects("secrets") is not None, 30, "Secrets are listed again")


def test_reads_of_configmaps_are_logged_and_other_reads_of_components_are_not(lab: Lab) -> None:
    scheduler = Caller(lab, "system:kube-scheduler")
    for resource in ("configmaps", "pods", "secrets"):
        scheduler.ask(f"/api/v1/namespaces/default/{resource}/read-by-a-component")

    def logged() -> set[str]:
        log = lab.sh(lab["control_plane"][0], "tail --lines=100 /var/log/kubernetes/audit.log")
        found = [json.loads(line).get("objectRef", {}) for line in log.splitlines()]
        return {item["resource"] for item in found if item.get("name") == "read-by-a-component"}

    eventually(lambda: "secrets" in logged(), 10, "the last of the reads is logged")
    assert logged() == {"configmaps", "secrets"}


@pytest.mark.usefixtures("kept")
def test_the_audit_log_tells_who_did_what_and_no_secret(lab: Lab) -> None:
    log = lab.sh(lab["control_plane"][0], "tail --lines=100 /var/log/kubernetes/audit.log")
    entries = [json.loads(line) for line in log.splitlines()]
    created = [
        entry
        for entry in entries
        if entry["verb"] == "create" and entry.get("objectRef", {}).get("resource") == "secrets"
    ]
    assert created[-1]["objectRef"]["name"] == "kept"
    assert created[-1]["user"]["username"] == "kubernetes-super-admin"
    assert base64.b64encode(CONTENT.encode()).decode() not in log


@pytest.mark.usefixtures("kept")
def test_what_is_written_outlives_the_service(lab: Lab) -> None:
    host = lab["control_plane"][0]
    lab.sh(host, "systemctl restart kube-apiserver")
    assert check_kept(lab), "nothing is lost by a restart"
    lab.sh(host, "systemctl kill --signal=KILL kube-apiserver")
    # systemd starts it again.
    eventually(lambda: check_kept(lab), 30, "nothing is lost when it is killed")


def test_services_get_addresses_of_their_network_and_take_none_of_others(lab: Lab) -> None:
    lab.kubectl("delete service plain --ignore-not-found")
    lab.kubectl("create service clusterip plain --tcp=80")
    try:
        (service,) = [found for found in lab.objects("services") if found["metadata"]["name"] == "plain"]
        assert ip_address(service["spec"]["clusterIP"]) in ip_network("10.96.0.0/16")
    finally:
        lab.kubectl("delete service plain")
    taken = {"externalIPs": ["192.0.2.1"], "ports": [{"port": 80}]}
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "greedy"}, "spec": taken}
    with pytest.raises(AssertionError, match="externalIPs"):
        lab.kubectl("create --dry-run=server --filename=-", manifest)
