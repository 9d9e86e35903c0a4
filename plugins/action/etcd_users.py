"""Makes etcd's users and turns its authentication on and off; see plugins/modules/etcd_users.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.arguments import API_OF_THE_HOST
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import ETCD_USERS, PKI

OPERATIONS = {"present": "make", "enabled": "enable", "disabled": "disable", "absent": "remove"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": [*OPERATIONS, "proven"], "required": True},
                "endpoints": {"type": "list", "elements": "str", "default": []},
                "users": {"type": "dict", "default": {}},
                "belongings": {"type": "dict", "default": {}},
                "pki_directory": {"type": "path"},
                "member": {"type": "str"},
                "api_server": {"type": "bool", "default": False},
                "flannel": {"type": "dict"},
                "timeout": {"type": "int", "default": 60},
            },
            required_if=[("state", state, ("endpoints",)) for state in OPERATIONS],
        )
        if arguments["state"] == "proven":
            self._prove(variables, arguments)
            return result | {"changed": False}
        try:
            done = self._make(variables, arguments)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        text = "".join(f"{change}\n" for change in done.changes)
        done_so = {"changes": done.changes, "turned_on": done.turned_on}
        return (
            result | done_so | {"changed": bool(text), "diff": [{"before": "", "after": text, "after_header": "etcd"}]}
        )

    def _make(self, task_vars: dict[str, Any], arguments: dict[str, Any]) -> Any:
        check, state = self._task.check_mode, arguments["state"]
        directory = arguments["pki_directory"] or task_vars.get("kubeinstall_pki_directory")
        pki = PKI(Path(self._templar.template(directory)))
        if not check and state in ("present", "enabled"):
            # Before there is anything to take away: whatever stops this run, a later one knows.
            pki.note(ETCD_USERS)
        spec = {key: arguments[key] for key in ("users", "belongings")}
        spec |= {"operation": OPERATIONS[state], "check": check, "endpoints": ",".join(arguments["endpoints"])}
        done = call(self, task_vars, "etcd_users", spec)
        if not check and state == "absent":
            pki.forget(ETCD_USERS)
        return done

    def _prove(self, task_vars: dict[str, Any], arguments: dict[str, Any]) -> None:
        if self._task.check_mode:
            return
        spec = {key: arguments[key] for key in ("member", "flannel")}
        spec |= {"operation": "prove", "seconds": arguments["timeout"]}
        spec["api"] = API_OF_THE_HOST if arguments["api_server"] else None
        call(self, task_vars, "etcd_users", spec)
