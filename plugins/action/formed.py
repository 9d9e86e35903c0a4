"""Remembers, in the PKI directory, that the cluster was formed: from then on nothing of ours begins a second one.

Until it is gone with all its members, and forgotten.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI

CLUSTER_ID = re.compile("[0-9a-f]{1,16}")


class ActionModule(ActionBase):
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "pki_directory": {"type": "path", "required": True},
                "members": {"type": "list", "elements": "str"},
                "state": {"type": "str", "choices": ["present", "absent", "restored", "pinned"], "default": "present"},
            },
            required_if=[("state", "present", ("members",))],
        )
        state = arguments["state"]
        try:
            pki = PKI(Path(arguments["pki_directory"]))
            formed = pki.formed
            now = datetime.now(UTC).isoformat(timespec="seconds")
            if state == "absent":
                changed = formed is not None
                if changed and not self._task.check_mode:
                    pki.clear_formed()
            elif state == "pinned":
                changed = not pki.pinned
                if changed and not self._task.check_mode:
                    pki.pin_keys()
            else:
                changed = state == "restored" or "cluster_id" not in (formed or {})
                if changed and not self._task.check_mode:
                    mark = formed or {"at": now, "members": sorted(arguments["members"] or [])}
                    mark |= {"restored": now} if state == "restored" else {}
                    pki.mark_formed({**mark, "cluster_id": self._cluster_id(task_vars or {})})
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        return result | {"changed": changed}

    def _cluster_id(self, task_vars: dict[str, Any]) -> str:
        """etcd's own id of the cluster, as this host's member tells it."""
        found = call(self, task_vars, "etcd_backup", {"operation": "probe"})
        if found.problem:
            raise AnsibleActionFail(f"the cluster's id is not known: {found.problem}")
        if not CLUSTER_ID.fullmatch(found.cluster_id):
            raise AnsibleActionFail(f"{found.cluster_id[:100]!r} is not the id of a cluster of etcd")
        return str(found.cluster_id)
