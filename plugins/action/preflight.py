"""Asks a host what it is and has, in one round trip; see plugins/modules/preflight.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.facts import Facts, Unprivileged
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE
from kubeinstall.cluster.registries import registry_questions
from kubeinstall.cluster.reports import QUESTIONS, clock_ahead

DISKS = {"/var", "/usr/local"}
PULLING = {CONTROL_PLANE, NODE}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "vacant": {"type": "list", "elements": "str", "default": []},
                "backend": {"type": "str", "default": ""},
                "calendars": {"type": "list", "elements": "str", "default": []},
            }
        )
        variables = task_vars or {}
        asked = {**arguments, "registries": self._registries(variables)}
        before = time.time()
        try:
            facts = call(self, variables, "probe", {**QUESTIONS, **asked})
            _check_facts(facts, asked)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            # Not a failed task: `validate` names this host together with all others that are not as they should be.
            return result | {"failure": str(error)}
        return result | {"facts": plain(facts), "clock": clock_ahead(before, facts.time, time.time())}

    def _registries(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Of hosts that pull images. By their variables and no argument of the task: those are shown."""
        if not variables.get("container_engine_registries") or not PULLING & set(variables["group_names"]):
            return {}
        names = [name for name in variables if name.startswith("container_engine_")]
        try:
            values = {name: self._templar.template(variables[name]) for name in names}
        except AnsibleError:
            return {}  # `validate` says which template gives nothing
        return registry_questions(values, Path(variables["inventory_dir"]))


def _check_facts(facts: Facts | Unprivileged, asked: Mapping[str, Any]) -> None:
    """AnsibleActionFail for what the form does not tell, and the judgement of all hosts relies on."""
    if isinstance(facts, Unprivileged):
        return
    names = {one["name"] for one in asked["registries"].get("registries", ())}
    if (
        facts.disk.keys() != DISKS
        or facts.registries.keys() != names
        or facts.calendars.keys() != set(asked["calendars"])
    ):
        raise AnsibleActionFail(
            "the host's answer is not about the disks, registries and calendar expressions that it was asked for"
        )
    for network in facts.networks:
        try:
            IPv4Interface(network.address)
        except ValueError:
            raise AnsibleActionFail(f"{network.address[:100]!r} is not the address of an interface") from None
