"""What a host says of its reboot, before and after it; see plugins/modules/boot.py for its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.results import RebootHost, message

OPERATIONS = {"spared": "foresee", "held": "", "settled": "settle"}
DICTS: dict[str, Any] = {"type": "list", "elements": "dict", "default": []}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": list(OPERATIONS), "required": True},
                "services": DICTS,
                "before": {"type": "str"},
                "components": DICTS,
                "kubelet": {"type": "str"},
                "timeout": {"type": "int", "default": 300},
            },
        )
        state = arguments.pop("state")
        if state == "held":
            hold.take_again(self, variables)
            return result | {"changed": False}
        if state == "settled" and self._task.check_mode:
            return result | {"booted": 0, "since": None, "changed": False}
        spec = arguments | {"operation": OPERATIONS[state], "seconds": arguments["timeout"]}
        answer = call(self, variables, "boot", spec)
        if state == "settled":
            return result | {"booted": answer.booted, "since": answer.since, "changed": False}
        if not answer.machine_id:
            raise AnsibleActionFail(
                "its /etc/machine-id is empty, so this run can't check that it is not the machine that it runs on."
                " Nothing was changed: run systemd-machine-id-setup on the host, and run the same command again"
            )
        if answer.machine_id == _machine_id():
            raise AnsibleActionFail(
                "it is the machine that this run is on, which would end with its reboot. Nothing was changed: name the"
                " other hosts, and reboot this one from another machine"
            )
        told = message(RebootHost, rebooted=answer.rebooted)
        return result | {"before": answer.before, "rebooted": answer.rebooted, "changed": False} | told


def _machine_id() -> str:
    path = Path("/etc/machine-id")
    return path.read_text().strip() if path.is_file() else ""
