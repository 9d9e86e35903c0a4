"""Asks or changes who is a member of etcd, on the host of a member; see plugins/modules/etcd_member.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

OPERATIONS = {"announced": "announce", "promoted": "promote", "absent": "remove"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["asked", *OPERATIONS], "required": True},
                "name": {"type": "str"},
                "address": {"type": "str"},
                "endpoints": {"type": "list", "elements": "str", "default": []},
                "timeout": {"type": "int", "default": 120},
            },
            required_if=[("state", "announced", ("name", "address")), ("state", "absent", ("name", "address"))],
        )
        spec = {"check": self._task.check_mode, "name": arguments["name"], "address": arguments["address"]}
        spec |= {"seconds": arguments["timeout"], "endpoints": arguments["endpoints"]}
        if arguments["state"] == "asked":
            return result | self._ask(task_vars or {}, spec)
        answer = call(self, task_vars or {}, "etcd_membership", spec | {"operation": OPERATIONS[arguments["state"]]})
        text = "".join(f"{change}\n" for change in answer["changes"])
        return (
            result | answer | {"changed": bool(text), "diff": [{"before": "", "after": text, "after_header": "etcd"}]}
        )

    def _ask(self, task_vars: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """One that does not answer is no failure: another one is asked."""
        try:
            return {
                "answered": True,
                "problem": "",
                **call(self, task_vars, "etcd_membership", spec | {"operation": "ask"}),
            }
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"answered": False, "problem": str(error)}
