"""Has a control plane empty nodes before their reboot, and take them back after it; see plugins/modules/reboot.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.arguments import API_OF_THE_HOST
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.results import DrainPlan, Rebooted, RebootPlan, RebootRoll, message

OPERATIONS = {"foreseen": "foresee", "begun": "begin", "emptied": "empty", "finished": "finish"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["asked", *OPERATIONS], "required": True},
                "name": {"type": "str"},
                "boots": {"type": "dict", "default": {}},
                "booted": {"type": "float", "default": 0},
                "since": {"type": "float"},
                "timeout": {"type": "int", "default": 300},
            },
            required_if=[("state", state, ("name",)) for state in ("foreseen", "emptied", "finished")],
        )
        spec = API_OF_THE_HOST | {"check": self._task.check_mode, "seconds": arguments["timeout"]}
        spec |= {key: arguments[key] for key in ("name", "boots", "booted", "since")}
        if arguments["state"] == "asked":
            return result | self._ask(variables, spec)
        answer = call(self, variables, "reboot", spec | {"operation": OPERATIONS[arguments["state"]]})
        if arguments["state"] == "foreseen":
            return result | message(DrainPlan, **plain(answer))
        if arguments["state"] == "begun":
            result |= message(RebootPlan, hosts=list(arguments["boots"]))
        elif arguments["state"] == "finished":
            result |= message(Rebooted, changes=answer.changes)
        text = "".join(f"{change}\n" for change in answer.changes)
        diff = [{"before": "", "after": text, "after_header": arguments["name"] or "cluster"}] if text else []
        return result | {"changes": answer.changes, "changed": bool(text), "diff": diff}

    def _ask(self, task_vars: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """One that does not answer is no failure: another one is asked."""
        try:
            answer = call(self, task_vars, "reboot", spec | {"operation": "ask"})
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"answered": False, "problem": str(error)}
        roll = plain(answer.roll)
        return {"answered": True, "problem": "", "roll": roll, **message(RebootRoll, roll=roll)}
