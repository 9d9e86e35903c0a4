"""One part of a verification, in one round trip to the host; see plugins/modules/verify_probe.py for its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.verify_cluster import Network
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import is_address, plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.cluster.hosts import DOMAIN
from kubeinstall.results import ClusterChecks, ClusterCleanup, HostChecks, NetworkChecks, Result, message
from kubeinstall.verify import judge_certificates

PATH = re.compile("/registry/configmaps/kube-system/kubeinstall-verify-[0-9a-f]{8}")
TOKEN = re.compile("[0-9a-f]{32}")
MODULES = {"host": "verify_host", "cluster": "verify_cluster", "network": "network_probe"}
ARGUMENTS: dict[str, Any] = {
    "part": {"type": "str", "choices": list(MODULES), "required": True},
    "spec": {"type": "dict", "required": True},
    "names": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        if self._task.check_mode and args["part"] == "cluster":
            return result | {"skipped": True, "network": None}
        found = call(self, variables, MODULES[args["part"]], args["spec"])
        host = str(variables["inventory_hostname"])
        checks = [{"host": host, **plain(one)} for one in found.checks]
        kind: type[Result] = HostChecks if args["part"] == "host" else NetworkChecks
        result["changed"] = False
        if args["part"] == "host":
            problems, detail = judge_certificates(plain(found.certificates), args["names"])
            checks.append({"host": host, "check": "certificates", "problems": problems, "detail": detail})
            asked = (*args["spec"].get("components", ()), *args["spec"].get("serving", ()))
            if missing := sorted({one["check"] for one in asked} - {one["check"] for one in checks}):
                raise AnsibleActionFail(f"the answer of this host lacks the checks {', '.join(missing)}")
        elif args["part"] == "cluster":
            kind = ClusterCleanup if args["spec"]["remove"] else ClusterChecks
            known = {host, args["spec"]["host"], *args["spec"]["nodes"]}
            if foreign := [one["host"] for one in checks if one["host"] not in known]:
                raise AnsibleActionFail(f"the answer is about {foreign[0][:100]!r}, which the host was not asked about")
            if not (found.network or args["spec"]["remove"] or any(one["problems"] for one in checks)):
                raise AnsibleActionFail("no pods were started, and the answer of this host does not tell why")
            result["network"] = plain(found.network)
            if found.network:
                _check_network(found.network, args["spec"])
        return result | message(kind, checks=checks)


def _check_network(network: Network, spec: Mapping[str, Any]) -> None:
    """AnsibleActionFail unless it names only what was asked for: all hosts try it, and ask etcd for it."""
    addresses = [network.cluster_ip, network.dns.server, *network.dns.names.values()]
    addresses += [address for node in network.nodes.values() for address in node]
    right = (
        network.nodes.keys() <= set(spec["nodes"])
        and all(map(is_address, addresses))
        and all(map(DOMAIN.fullmatch, network.dns.names))
        and all(0 < port < 1 << 16 for port in (network.port, network.node_port))
        and PATH.fullmatch(network.path)
        and TOKEN.fullmatch(network.token)
    )
    if not right:
        raise AnsibleActionFail("the network that this host describes is not the one of its verification")
