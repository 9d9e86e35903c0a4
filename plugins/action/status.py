"""How a host's components fare, in one round trip; see plugins/modules/status.py for its options."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.results import Status, message


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        path = {"type": "path"}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                **{"server": {"type": "str"}, "authority": path, "certificate": path, "key": path},
                "leases": {"type": "list", "elements": "str", "default": []},
                "etcd": {"type": "bool", "default": False},
            },
            required_by={"server": ("authority", "certificate", "key")},
        )
        api = None
        if arguments["server"]:
            api = {"url": arguments["server"], "ca": arguments["authority"]}
            api |= {key: arguments[key] for key in ("certificate", "key")}
        answer = call(
            self, task_vars or {}, "status", {"api": api, "leases": arguments["leases"], "etcd": arguments["etcd"]}
        )
        if any(not {"Name", "Status"} <= row.keys() for row in answer.nodes or ()):
            raise AnsibleActionFail("the table of nodes that this host gives has no columns Name and Status")
        if not answer.api and api and {one.service for one in answer.leaders} != set(arguments["leases"]):
            raise AnsibleActionFail("the leaders that this host names are not those of the services it was asked for")
        return result | message(Status, **plain(answer))
