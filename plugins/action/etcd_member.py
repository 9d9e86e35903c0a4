"""Asks or changes who is a member of etcd, on the host of a member; see plugins/modules/etcd_member.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import is_address, plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.cluster.hosts import DOMAIN
from kubeinstall.results import EtcdRemoval, message

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
        if arguments["state"] == "announced":
            result["members"] = _members(answer.members)
        elif arguments["state"] == "absent":
            result |= message(EtcdRemoval, changes=answer.changes)
        text = "".join(f"{change}\n" for change in answer.changes)
        diff = [{"before": "", "after": text, "after_header": "etcd"}]
        return result | {"changes": answer.changes, "changed": bool(text), "diff": diff}

    def _ask(self, task_vars: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """One that does not answer is no failure: another one is asked."""
        try:
            answer = call(self, task_vars, "etcd_membership", spec | {"operation": "ask"})
            members = plain(answer.members)
            return {"answered": True, "problem": "", "members": members, "peer_issuer": answer.peer_issuer}
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"answered": False, "problem": str(error)}


def _members(answered: Mapping[str, str]) -> dict[str, str]:
    """{name: address}, which become part of the new member's unit: nothing but names and addresses."""
    for name, address in answered.items():
        if not DOMAIN.fullmatch(name) or not is_address(address):
            raise AnsibleActionFail(f"etcd's member list is refused: {name[:100]!r} at {address[:100]!r}")
    return dict(answered)
