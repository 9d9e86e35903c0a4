"""Judges the whole inventory and what its hosts said of themselves; see plugins/modules/validate.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold

from kubeinstall.cluster import Cluster
from kubeinstall.cluster.arguments import Program
from kubeinstall.cluster.inventory import host_variables
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.reports import Facts, Report
from kubeinstall.components import Catalogue, fetch, machine_architecture
from kubeinstall.components.catalogue import MACHINES
from kubeinstall.errors import ComponentError, InputError
from kubeinstall.membership import check_change
from kubeinstall.pki import ETCD_USERS, PKI
from kubeinstall.reboot import in_order
from kubeinstall.text import printable

STRINGS = {"type": "list", "elements": "str"}

LOSSES = "Objects left cluster_manifests, and would be deleted with their data:"
AGREE = (
    "List them again, or allow it: kubeinstall apply asks on a terminal and takes --yes, ansible-playbook takes"
    " -e prune_confirm=true."
)


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
                "roles": STRINGS | {"default": []},
                "data_losses": STRINGS | {"default": []},
                "prune_confirm": {"type": "bool", "default": False},
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

        def judged() -> Cluster:
            return Cluster.from_hostvars(
                variables["groups"],
                hostvars,
                _inventory(variables),
                reports,
                Knowledge.model_validate(
                    {key: value for key, value in arguments["knowledge"].items() if key in Knowledge.model_fields}
                ),
                arguments["welcome"],
                arguments["roles"],
            )

        try:
            cluster = judged()
            # Only before a run that goes on to install them: their flags are checked before any host is touched.
            if reports and not self._task.check_mode and _fetched(cluster.unchecked, reports):
                cluster = judged()
            if change := arguments["change"]:
                if change["verb"] == "reboot":
                    result["order"] = list(in_order(cluster, change["hosts"]))
                else:
                    check_change(cluster, change["verb"], change["kind"], change["hosts"])
        except (ComponentError, InputError) as error:
            return result | {"failed": True, "msg": str(error)}
        losses = [] if arguments["prune_confirm"] else list(map(printable, arguments["data_losses"]))
        if losses and not self._task.check_mode:
            return result | {"failed": True, "msg": f"{LOSSES}\n{_list(losses)}\n{AGREE}", "data_losses": losses}
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
            "warnings": [str(warning) for warning in cluster.warnings]
            + ([f"a run without --check asks first: {LOSSES}\n{_list(losses)}"] if losses else []),
        }


def _list(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _inventory(variables: Mapping[str, Any]) -> Path:
    """The inventory, or its directory where there are several in it."""
    sources = variables.get("ansible_inventory_sources") or ()
    only = Path(sources[0]) if len(sources) == 1 else Path()
    return only if only.is_file() else Path(variables["inventory_dir"])


def _fetched(programs: frozenset[Program], reports: Mapping[str, Report]) -> bool:
    """Whether programs that this machine can run were fetched. Those of other architectures are left to their hosts."""
    architectures = {MACHINES.get(report.facts.machine) for report in reports.values() if report.facts}
    if not programs or machine_architecture() not in architectures:
        return False
    catalogue = Catalogue.load()
    for program in sorted(programs):
        versions = {catalogue.component_of(program.name): program.version}
        fetch([program.name], versions=versions, architecture=machine_architecture())
    return True


def _report(answer: Mapping[str, Any]) -> Report:
    if answer.get("unreachable"):
        return Report(unreachable=printable(str(answer.get("msg", ""))))
    if "facts" in answer:
        return Report(facts=Facts.model_validate(answer["facts"]), clock=answer["clock"])
    return Report(failure=printable(str(answer.get("failure") or answer.get("msg") or "it was not asked")))
