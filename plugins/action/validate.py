"""Judges the whole inventory and what its hosts said of themselves; see plugins/modules/validate.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold

from kubeinstall.cluster import Cluster
from kubeinstall.cluster.inventory import host_variables
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.reports import Facts, Report
from kubeinstall.errors import InputError
from kubeinstall.membership import check_change
from kubeinstall.pki import ETCD_USERS, PKI
from kubeinstall.reboot import in_order
from kubeinstall.text import printable

STRINGS = {"type": "list", "elements": "str"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "reports": {"type": "str"},
                "knowledge": {"type": "dict", "default": {}},
                "welcome": STRINGS | {"default": []},
                "change": {
                    "type": "dict",
                    "options": {
                        "verb": {"type": "str", "required": True, "choices": ["remove", "replace", "reboot"]},
                        "kind": {"type": "str", "choices": ["node", "control_plane", "etcd"]},
                        "hosts": STRINGS | {"required": True},
                    },
                    "required_if": [("verb", verb, ("kind",)) for verb in ("remove", "replace")],
                },
            }
        )
        variables = task_vars or {}
        # Of all hosts, also under --limit: a cluster is right or wrong as a whole.
        hostvars = host_variables(variables["hostvars"], variables["groups"], self._loader)
        variable = arguments["reports"]
        reports = {name: _report(host[variable]) for name, host in hostvars.items() if variable in host}
        if self._task.check_mode and any(not report.unreachable for report in reports.values()):
            # The plan of the others: the playbook leaves out those that are unreachable, and fails for them.
            reports = {name: report for name, report in reports.items() if not report.unreachable}
        try:
            cluster = Cluster.from_hostvars(
                variables["groups"],
                hostvars,
                Path(variables["inventory_dir"]),
                reports,
                Knowledge.model_validate(
                    {key: arguments["knowledge"].get(key, {}) for key in ("nodes", "shares", "marks")}
                ),
                arguments["welcome"],
            )
            if change := arguments["change"]:
                if change["verb"] == "reboot":
                    result["order"] = list(in_order(cluster, change["hosts"]))
                else:
                    check_change(cluster, change["verb"], change["kind"], change["hosts"])
        except InputError as error:
            return result | {"failed": True, "msg": str(error)}
        if reports and not self._task.check_mode:
            # Before anything is touched: once for all, and where another run is at work, said once.
            hold.take(self, variables)
        asked = f", {len(reports)} asked" if reports else ""
        return result | {
            "msg": f"{len(cluster.hosts)} hosts{asked}, Kubernetes {cluster.kubernetes_version}: nothing is in the way",
            "welcomed": dict(cluster.welcomed),
            # Whether an earlier run made users of etcd, which this one may have to take away.
            "etcd_users": PKI(cluster.pki_directory).has(f"{ETCD_USERS}.json"),
            # Whether a restore was interrupted, which this run has to complete.
            "etcd_restoring": "restoring" in (PKI(cluster.pki_directory).formed or {}),
            "warnings": [str(warning) for warning in cluster.warnings],
        }


def _report(answer: Mapping[str, Any]) -> Report:
    if answer.get("unreachable"):
        return Report(unreachable=printable(str(answer.get("msg", ""))))
    if "facts" in answer:
        return Report(facts=Facts.model_validate(answer["facts"]), clock=answer["clock"])
    return Report(failure=printable(str(answer.get("failure") or answer.get("msg") or "it was not asked")))
