"""The DNS is never evicted whole, and its pods are on different nodes."""

from __future__ import annotations

import json

from tests.lab import Lab, eventually

SELECTED = "--namespace=kube-system --selector=k8s-app=kube-dns"


def pods(lab: Lab) -> dict[str, str]:
    """{pod: its node} of those that are ready and not about to end."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in lab.objects(f"pods {SELECTED}")
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
    }


def test_a_rollout_ends_on_different_nodes(lab: Lab) -> None:
    lab.kubectl("rollout restart deployment/coredns --namespace=kube-system")
    lab.kubectl("rollout status deployment/coredns --namespace=kube-system --timeout=90s")
    eventually(lambda: len(set(pods(lab).values())) == 2, what="two pods on two nodes")


def test_both_pods_are_not_evicted_at_once(lab: Lab) -> None:
    eventually(lambda: len(pods(lab)) == 2, what="both pods are ready")
    allowed = "get pdb/coredns --namespace=kube-system -o jsonpath={.status.disruptionsAllowed}"
    eventually(lambda: lab.kubectl(allowed) == "1", what="one disruption is allowed")
    results = []
    for name in pods(lab):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "kube-system"}}
        path = f"/api/v1/namespaces/kube-system/pods/{name}/eviction"
        command = (
            f"kubectl --kubeconfig /etc/kubernetes/admin.conf create --raw {path} -f - <<'EOF'\n{json.dumps(body)}\nEOF"
        )
        results.append(lab["control_plane"][0].run(command))
    assert [done.rc for done in results] == [0, 1]
    assert "disruption budget" in results[1].stderr
    eventually(lambda: len(set(pods(lab).values())) == 2, what="the evicted one is back")
