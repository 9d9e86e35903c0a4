"""Objects that nobody but the controller manager makes, fills in and takes away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from uuid import uuid4

from roles.kube_controller_manager.molecule.nodes import nodes
from tests.lab import Lab, eventually

ADMIN = "--cert /etc/kubernetes/pki/admin.crt --key /etc/kubernetes/pki/admin.key"


@contextmanager
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace that nobody knew before, in which pods can be made."""
    name = f"test-{uuid4().hex[:8]}"
    lab.kubectl(f"create namespace {name}")
    try:
        ready = "a new namespace gets its ServiceAccount"
        eventually(lambda: names(lab, f"serviceaccounts --namespace={name}") == {"default"}, 20, ready)
        yield name
    finally:
        lab.kubectl(f"delete namespace {name} --wait=false")


def names(lab: Lab, arguments: str) -> set[str]:
    return {found["metadata"]["name"] for found in lab.objects(arguments)}


def pending(lab: Lab, name: str) -> set[str]:
    """The pods of a namespace that wait for a node."""
    return names(lab, f"pods --namespace={name} --field-selector=status.phase=Pending,spec.nodeName=")


def test_a_namespace_gets_what_its_pods_need_and_goes_with_all_that_is_in_it(lab: Lab) -> None:
    with namespace(lab) as name:
        trust = "a new namespace is told the authority"
        found = eventually(lambda: lab.objects(f"configmaps --namespace={name}"), 10, trust)
        assert found[0]["data"]["ca.crt"] == lab.sh(lab["control_plane"][0], "cat /etc/kubernetes/pki/ca.crt")
        lab.kubectl(f"create secret generic kept --namespace={name}")
    eventually(lambda: name not in names(lab, "namespaces"), 30, "a deleted namespace goes")


def test_a_deployment_gets_its_pods_and_takes_them_with_it(lab: Lab) -> None:
    with namespace(lab) as name:
        lab.kubectl(f"create deployment web --image=none --replicas=3 --namespace={name}")
        eventually(lambda: len(pending(lab, name)) == 3, 15, "it gets three pods")
        lost = min(pending(lab, name))
        lab.kubectl(f"delete pod {lost} --namespace={name}")
        made_again = "another pod stands in for one that was deleted"
        eventually(lambda: lost not in (found := pending(lab, name)) and len(found) == 3, 15, made_again)
        lab.kubectl(f"scale deployment web --replicas=1 --namespace={name}")
        eventually(lambda: len(pending(lab, name)) == 1, 15, "it keeps one pod of three")
        lab.kubectl(f"delete deployment web --namespace={name}")
        eventually(lambda: not names(lab, f"replicasets,pods --namespace={name}"), 15, "nothing is left of it")


def test_controllers_act_under_names_of_their_own(lab: Lab) -> None:
    """So each has its rights, and the audit log tells which one it was."""

    def creators() -> dict[str, str]:
        log = lab.sh(lab["control_plane"][0], f"grep {name} /var/log/kubernetes/audit.log")
        created = [entry for line in log.splitlines() if (entry := json.loads(line))["verb"] == "create"]
        return {entry["objectRef"]["resource"]: entry["user"]["username"] for entry in created}

    with namespace(lab) as name:
        lab.kubectl(f"create deployment web --image=none --namespace={name}")
        eventually(lambda: pending(lab, name), 15, "it gets its pod")
        found = creators()
    assert found["deployments"] == "kubernetes-super-admin"
    assert found["replicasets"] == "system:serviceaccount:kube-system:deployment-controller"
    assert found["pods"] == "system:serviceaccount:kube-system:replicaset-controller"


def test_each_node_gets_its_own_share_of_the_pods_network(lab: Lab) -> None:
    with nodes(lab, "one", "other"):

        def shares() -> list[str]:
            return [node["spec"].get("podCIDR", "") for node in lab.objects("node/one node/other")]

        eventually(lambda: all(shares()), 15, "each node gets a share")
        one, other = [IPv4Network(share) for share in shares()]
    assert not one.overlaps(other)
    for share in (one, other):
        assert share.prefixlen == 24
        assert share.subnet_of(IPv4Network("10.244.0.0/16"))


def test_a_service_is_told_where_its_ready_pods_are(lab: Lab) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"nodeName": "one", "containers": [{"name": "main", "image": "none"}]},
    }
    # What a kubelet would say of it.
    ready = {"type": "Ready", "status": "True"}
    told = {"status": {"conditions": [ready], "podIP": "10.244.9.9", "podIPs": [{"ip": "10.244.9.9"}]}}
    with namespace(lab) as name, nodes(lab, "one"):
        lab.kubectl(f"create service clusterip web --tcp=80 --namespace={name}")
        lab.kubectl(f"create --namespace={name} --filename=-", pod)
        lab.kubectl(f"patch pod web --namespace={name} --subresource=status --patch='{json.dumps(told)}'")

        def endpoints() -> list[tuple[list[str], bool]]:
            slices = lab.objects(f"endpointslices --namespace={name}")
            found = [endpoint for item in slices for endpoint in item["endpoints"] or []]
            return [(endpoint["addresses"], endpoint["conditions"]["ready"]) for endpoint in found]

        eventually(lambda: endpoints() == [(["10.244.9.9"], True)], 15, "it is told the pod's address")
        lab.kubectl(f"delete pod web --namespace={name} --force")
        eventually(lambda: not endpoints(), 15, "it is told that the pod is gone")


def test_who_asks_it_for_its_metrics_has_to_be_allowed_to(lab: Lab) -> None:
    host = lab["control_plane"][0]
    ask = "curl --silent --insecure --max-time 5 --output /dev/null --write-out '%{http_code}'"
    assert lab.sh(host, f"{ask} https://127.0.0.1:10257/metrics") == "403"
    assert lab.sh(host, f"{ask} {ADMIN} https://127.0.0.1:10257/metrics") == "200"
