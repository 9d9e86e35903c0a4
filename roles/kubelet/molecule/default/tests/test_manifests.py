"""Pods out of manifest files, by what they answer on the host's address."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from kubeinstall.lab.example_images import BUSYBOX
from tests.lab import Lab, eventually

BY_HAND = "/etc/kubernetes/manifests/by-hand.yaml"


def pod(name: str, port: int) -> dict[str, Any]:
    """One that answers on a port of the host."""
    serve = f"mkdir -p /www; echo {name} >/www/index.html; exec httpd -f -p {port} -h /www"
    container = {"name": name, "image": BUSYBOX, "command": ["sh", "-c", serve]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hostNetwork": True, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }


def answer(lab: Lab, host: Host, port: int) -> str:
    """What is answered on a port of the host; empty where nobody listens."""
    return str(host.run(f"curl --silent --max-time 3 http://{lab.address(host)}:{port}/").stdout).strip()


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    (host,) = lab.all
    return host


def test_a_manifest_put_there_by_hand_starts_a_pod_and_its_removal_ends_it(lab: Lab, host: Host) -> None:
    # In one step: kubelet would read half a file, and come back to it much later.
    write = f"cat >/root/by-hand.yaml <<'EOF'\n{json.dumps(pod('by-hand', 8001))}\nEOF\nmv /root/by-hand.yaml {BY_HAND}"
    try:
        lab.sh(host, write)
        eventually(lambda: answer(lab, host, 8001) == "by-hand", 30, "the pod of a manifest put there by hand answers")
    finally:
        lab.sh(host, f"rm {BY_HAND}")
    eventually(lambda: not answer(lab, host, 8001), 60, "the pod has ended with its manifest")


def test_the_manifest_of_the_inventory_is_run(lab: Lab, host: Host) -> None:
    eventually(lambda: answer(lab, host, 8000), 30, "the pod of the inventory's manifest answers")


def test_a_container_that_dies_is_started_again(lab: Lab, host: Host) -> None:
    before = eventually(lambda: answer(lab, host, 8000), 30, "the pod answers")
    lab.sh(host, "pkill --signal KILL --full '[h]ttpd -f -p 8000'")
    eventually(lambda: answer(lab, host, 8000) not in ("", before), 60, "another container answers in its place")


def test_pods_go_on_while_kubelet_does_not_and_are_known_to_the_next(lab: Lab, host: Host) -> None:
    before = eventually(lambda: answer(lab, host, 8000), 30, "the pod answers")
    lab.sh(host, "systemctl stop kubelet")
    try:
        assert answer(lab, host, 8000) == before
    finally:
        lab.sh(host, "systemctl start kubelet")
    eventually(lambda: "greeter" in pods(lab, host), 30, "the new kubelet knows of the pod")
    assert answer(lab, host, 8000) == before, "it was started anew"


def test_who_shows_no_certificate_learns_nothing(lab: Lab, host: Host) -> None:
    assert "greeter" in eventually(lambda: pods(lab, host), 20, "who shows a certificate is told of the pods")
    refused = host.run(f"curl --silent --insecure --max-time 5 https://{lab.address(host)}:10250/pods")
    assert refused.stdout == "Unauthorized"


def pods(lab: Lab, host: Host) -> str:
    """What kubelet says of its pods to who shows a certificate of the cluster's; empty where it does not answer."""
    pki = "/etc/kubernetes/pki"
    client = f"--cacert {pki}/ca.crt --cert {pki}/kubelet-client.crt --key {pki}/kubelet-client.key"
    return str(host.run(f"curl --silent --fail {client} --max-time 5 https://{lab.address(host)}:10250/pods").stdout)
