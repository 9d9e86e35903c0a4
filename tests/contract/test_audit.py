"""The audit policy, evaluated as the API server does (the first rule that matches), against what security.md says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
POLICY = yaml.safe_load((ROOT / "roles/kube_apiserver/templates/audit-policy.yaml.j2").read_text())
READS = ("get", "list", "watch")
KUBELET = ("system:node:node-1", "system:nodes")
ADD_ON = ("system:serviceaccount:kube-system:add-on", "system:serviceaccounts:kube-system")
SCHEDULER = ("system:kube-scheduler", "system:authenticated")
USER = ("ann", "system:authenticated")
EVERYBODY = (KUBELET, ADD_ON, SCHEDULER, USER)
LEVELS = {"no": "None", "metadata": "Metadata", "request and response": "RequestResponse"}


@dataclass(frozen=True)
class Request:
    """`what` is GROUP/RESOURCE[/SUBRESOURCE] with an empty group for the core, or the path of what is no resource."""

    who: tuple[str, str]
    verb: str
    what: str

    @property
    def path(self) -> str:
        return self.what if self.what.startswith("//") else ""

    @property
    def group(self) -> str:
        return self.what.partition("/")[0]

    @property
    def resource(self) -> str:
        return self.what.partition("/")[2]


def requests(who: tuple[tuple[str, str], ...], verbs: tuple[str, ...], *what: str) -> list[Request]:
    return [Request(one, verb, item) for one in who for verb in verbs for item in what]


CHANGES = ("create", "update", "patch", "delete", "deletecollection")
CLAIMS: dict[str, list[Request]] = {
    "Secrets, ConfigMaps, service account tokens and TokenReviews, read or changed by anyone": [
        *requests(EVERYBODY, READS + CHANGES, "/secrets", "/configmaps"),
        *requests(EVERYBODY, ("create",), "/serviceaccounts/token", "authentication.k8s.io/tokenreviews"),
    ],
    "`exec`, `attach`, `port-forward`, `debug` and the proxies of pods, services and nodes": [
        *requests(
            EVERYBODY,
            ("get", "create"),
            *("/pods/exec", "/pods/attach", "/pods/portforward", "/pods/proxy", "/services/proxy", "/nodes/proxy"),
        ),
        *requests(EVERYBODY, ("update", "patch"), "/pods/ephemeralcontainers"),
    ],
    "Changes of RBAC, webhooks and admission policies": requests(
        (ADD_ON, USER),
        CHANGES,
        "rbac.authorization.k8s.io/clusterrolebindings",
        "rbac.authorization.k8s.io/roles",
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
    ),
    "Health checks, version and OpenAPI": requests(
        EVERYBODY, ("get",), "//readyz", "//livez/etcd", "//healthz", "//version", "//openapi/v3"
    ),
    "Events and Leases": requests(
        EVERYBODY, READS + CHANGES, "/events", "events.k8s.io/events", "coordination.k8s.io/leases"
    ),
    "Other reads by kubelets, control plane components, kube-proxy, flannel and service accounts of kube-system": [
        *requests((KUBELET, ADD_ON, SCHEDULER), READS, "/pods", "apps/deployments", "/nodes", "/pods/log"),
        *requests((("flannel:node-1", "kubeinstall:flannel"),), READS, "/nodes"),
    ],
    "Status updates of nodes and pods by kubelets": requests(
        (KUBELET,), ("update", "patch"), "/nodes/status", "/pods/status"
    ),
    "Everything else": [
        *requests((USER,), READS + CHANGES, "/pods", "apps/deployments", "/nodes", "/namespaces", "/pods/log"),
        *requests((KUBELET, ADD_ON, SCHEDULER), CHANGES, "/pods", "apps/deployments", "/services", "/pods/binding"),
        *requests((USER,), ("update", "patch"), "/nodes/status", "/pods/status"),
        *requests((USER,), ("get",), "//metrics", "//api", "//logs"),
        *requests((USER,), READS, "rbac.authorization.k8s.io/clusterrolebindings"),
        *requests((USER, ADD_ON), ("impersonate",), "/users"),
    ],
}


def level(request: Request) -> str:
    return str(next(rule["level"] for rule in POLICY["rules"] if matches(rule, request)))


def matches(rule: dict[str, Any], request: Request) -> bool:
    name, group = request.who
    return (
        name in rule.get("users", [name])
        and group in rule.get("userGroups", [group])
        and request.verb in rule.get("verbs", [request.verb])
        and matches_object(rule, request)
    )


def matches_object(rule: dict[str, Any], request: Request) -> bool:
    paths, resources = rule.get("nonResourceURLs", []), rule.get("resources", [])
    if not paths and not resources:
        return True
    if request.path:
        found = request.path[1:]
        return any(found == path or (path.endswith("*") and found.startswith(path[:-1])) for path in paths)
    return any(
        item["group"] == request.group and ("resources" not in item or request.resource in item["resources"])
        for item in resources
    )


def claimed() -> dict[str, str]:
    """The table of security.md: {request: what is logged}."""
    text = (ROOT / "docs/security.md").read_text().partition("\n## Audit log\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (.+?) \| (no|metadata|request and response) \|$", text, re.MULTILINE))


def test_every_claim_of_the_documentation_is_checked() -> None:
    assert sorted(claimed()) == sorted(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_is_logged_is_what_the_documentation_says(claim: str) -> None:
    wanted = LEVELS[claimed()[claim]]
    assert {request: level(request) for request in CLAIMS[claim]} == dict.fromkeys(CLAIMS[claim], wanted)


def test_the_last_rule_takes_all_that_is_left() -> None:
    assert POLICY["rules"][-1] == {"level": "Metadata"}
