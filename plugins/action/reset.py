"""Takes the whole cluster off a host, in one round trip; see plugins/modules/reset.py for its options."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.results import HostReset, message

STRINGS = {"type": "list", "elements": "str", "default": []}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        component = {
            "name": {"type": "str", "required": True},
            "remove": STRINGS,
            "remove_links": STRINGS,
            "keep": STRINGS,
        }
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "components": {"type": "list", "elements": "dict", "required": True, "options": component},
                "alone": {"type": "bool", "default": False},
                "unfinished": {"type": "bool", "default": False},
                "backups": {"type": "path"},
            }
        )
        spec = {"check": self._task.check_mode, **arguments}
        answer = call(self, task_vars or {}, "reset", spec)
        text = "".join(f"{what}\n" for what in answer.removed)
        backups = {"directory": arguments["backups"] or "", **plain(answer.backups)}
        result |= message(HostReset, removed=answer.removed, kept=answer.kept, backups=backups)
        result |= {"changed": bool(text), "diff": [{"before": text, "after": ""}] if text else []}
        kept = list(answer.kept)
        if backups["count"]:
            newest = f"the newest of {backups['newest']} (kept; reset_with_backups removes them)"
            kept.append(f"{backups['directory']}: {backups['count']} etcd backups, {newest}")
        if kept:
            result["warnings"] = [f"not removed: {what}" for what in kept]
        return result
