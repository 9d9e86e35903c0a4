"""What the inventory sets, as callers see it."""

from __future__ import annotations

import json
import socket
import ssl
from ipaddress import ip_address, ip_network

import pytest

from roles.kube_apiserver.molecule.caller import authorities
from tests.lab import Lab


def handshake(lab: Lab, name: str) -> None:
    """Reaches the API under a name or address, and verifies that it is its."""
    context = ssl.create_default_context(cadata=authorities(lab).read("kubernetes/ca.crt"))
    address = (lab.address(lab["control_plane"][0]), 6443)
    with socket.create_connection(address, timeout=5) as plain, context.wrap_socket(plain, server_hostname=name):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "kube.example.internal",
        "api.example.internal",
        "192.0.2.10",
        "172.30.16.1",
        "kubernetes.default.svc.example.internal",
    ],
)
def test_the_api_is_verified_under_each_of_its_names(lab: Lab, name: str) -> None:
    handshake(lab, name)


@pytest.mark.parametrize("name", ["kubernetes.default.svc.cluster.local", "10.96.0.1", "other.example.internal"])
def test_the_api_is_not_taken_for_another(lab: Lab, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        handshake(lab, name)


def test_services_get_addresses_of_the_wanted_network(lab: Lab) -> None:
    (service,) = lab.objects("services --field-selector=metadata.name=kubernetes")
    assert service["spec"]["clusterIP"] == "172.30.16.1"
    lab.kubectl("delete service another --ignore-not-found")
    made = json.loads(lab.kubectl("create service clusterip another --tcp=80 --output=json"))
    lab.kubectl("delete service another")
    assert ip_address(made["spec"]["clusterIP"]) in ip_network("172.30.16.0/22")


def test_tokens_are_of_the_clusters_domain_and_their_keys_where_the_user_says(lab: Lab) -> None:
    found = json.loads(lab.kubectl("get --raw=/.well-known/openid-configuration"))
    assert found["issuer"] == "https://kubernetes.default.svc.example.internal"
    assert found["jwks_uri"] == "https://keys.example.internal/100%25?of=$USER"


def test_pods_are_made_to_ask_for_their_images_and_to_leave_lost_nodes_soon(lab: Lab) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "plain"},
        "spec": {"containers": [{"name": "main", "image": "none", "imagePullPolicy": "IfNotPresent"}]},
    }
    lab.kubectl("delete serviceaccount default --ignore-not-found")
    lab.kubectl("create serviceaccount default")
    spec = json.loads(lab.kubectl("create --dry-run=server --output=json --filename=-", pod))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    tolerated = {taint["key"]: taint["tolerationSeconds"] for taint in spec["tolerations"]}
    assert tolerated == {"node.kubernetes.io/not-ready": 7, "node.kubernetes.io/unreachable": 300}
    lab.kubectl("delete serviceaccount default")


def test_ports_of_nodes_are_of_the_wanted_range(lab: Lab) -> None:
    lab.kubectl("delete service open --ignore-not-found")
    lab.kubectl("create service nodeport open --tcp=80 --node-port=31001")
    lab.kubectl("delete service open")
    with pytest.raises(AssertionError, match="valid ports is 31000-31001"):
        lab.kubectl("create service nodeport open --tcp=80 --node-port=31002")


def test_the_users_arguments_win_over_the_roles_own(lab: Lab) -> None:
    """The role has profiling off."""
    assert "goroutine" in lab.kubectl("get --raw='/debug/pprof/goroutine?debug=1'")
