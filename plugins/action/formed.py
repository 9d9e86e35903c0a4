"""Remembers, in the PKI directory, that the cluster was formed: from then on nothing of ours begins a second one.

Until it is gone with all its members, and forgotten.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "pki_directory": {"type": "path", "required": True},
                "members": {"type": "list", "elements": "str"},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            },
            required_if=[("state", "present", ("members",))],
        )
        pki = PKI(Path(arguments["pki_directory"]))
        try:
            wanted = arguments["state"] == "present"
            changed = wanted != (pki.formed is not None)
            if changed and not self._task.check_mode and not wanted:
                pki.clear_formed()
            elif changed and not self._task.check_mode:
                pki.mark_formed(
                    {"at": datetime.now(UTC).isoformat(timespec="seconds"), "members": sorted(arguments["members"])}
                )
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        return result | {"changed": changed}
