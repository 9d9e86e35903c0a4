"""Asks a host what it is and has, in one round trip; see plugins/modules/preflight.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.cluster.reports import QUESTIONS, clock_ahead


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
            }
        )
        before = time.time()
        try:
            facts = call(self, task_vars or {}, "probe", {**QUESTIONS, **arguments})
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            # Not a failed task: `validate` names this host together with all others that are not as they should be.
            return result | {"failure": str(error)}
        return result | {"facts": facts, "clock": clock_ahead(before, facts["time"], time.time())}
