"""One part of a verification, in one round trip to the host; see plugins/modules/verify_probe.py for its options."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.verify import judge_certificates

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
            return result | {"skipped": True, "checks": [], "network": None}
        found = call(self, variables, MODULES[args["part"]], args["spec"])
        checks = found["checks"]
        if args["part"] == "host":
            problems, detail = judge_certificates(found.pop("certificates"), args["names"])
            checks.append({"check": "certificates", "problems": problems, "detail": detail})
        host = str(variables["inventory_hostname"])
        return result | found | {"checks": [{"host": host, **one} for one in checks], "changed": False}
