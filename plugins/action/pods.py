"""Ends the containers of a host's pods, in one round trip; see plugins/modules/pods.py for its options."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        state = {"type": "str", "choices": ["absent"], "required": True}
        self.validate_argument_spec(argument_spec={"state": state})
        answer = call(self, task_vars or {}, "pods", {"check": self._task.check_mode})
        changes = [f"stop kubelet and end {what}" for what in answer.removed]
        text = "".join(f"{change}\n" for change in changes)
        diff = [{"before": "", "after": text}] if text else []
        return result | {"changes": changes, "changed": bool(text), "diff": diff}
