"""flannel's network in etcd, and the shares that nodes have of it; see plugins/modules/flannel_network.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.arguments import API_OF_THE_HOST
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import is_address
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

NETWORK = re.compile("[0-9.]{7,15}/[0-9]{1,2}")
STRINGS = {"type": "list", "elements": "str", "default": []}
OPERATIONS = {"present": "put", "absent": "drop"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["asked", *OPERATIONS], "required": True},
                "nodes": STRINGS,
                "others": STRINGS,
                "timeout": {"type": "int", "default": 120},
                "endpoints": STRINGS,
                "prefix": {"type": "str"},
                "config": {"type": "json"},
                "shares": {"type": "dict", "default": {}},
                "address": {"type": "str"},
            },
            required_if=[
                ("state", "present", ("endpoints", "prefix", "config")),
                ("state", "absent", ("endpoints", "prefix", "address")),
            ],
        )
        spec: dict[str, Any] = {"check": self._task.check_mode}
        if arguments["state"] == "asked":
            spec |= {"operation": "shares", "names": arguments["nodes"], "seconds": arguments["timeout"]}
            spec["api"] = API_OF_THE_HOST | {"others": arguments["others"]}
            return result | {"shares": _shares(call(self, task_vars or {}, "flannel_network", spec).shares)}
        spec |= {"operation": OPERATIONS[arguments["state"]], "endpoints": ",".join(arguments["endpoints"])}
        spec |= {"prefix": arguments["prefix"], "config": arguments["config"], "address": arguments["address"]}
        spec["leases"] = arguments["shares"]
        changes = call(self, task_vars or {}, "flannel_network", spec).changes
        text = "".join(f"{change}\n" for change in changes)
        diff = [{"before": "", "after": text, "after_header": "flannel's network in etcd"}]
        return result | {"changed": bool(changes), "changes": changes, "diff": diff}


def _shares(answered: Mapping[str, str]) -> dict[str, str]:
    """{CIDR: address}, which the host of another member writes into etcd: nothing but networks and addresses."""
    for share, address in answered.items():
        if not NETWORK.fullmatch(share) or not is_address(address):
            raise AnsibleActionFail(f"the share {share[:100]!r} of {address[:100]!r} is not a node's")
    return dict(answered)
