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
from kubeinstall.restores import cluster_id

STATES = ("present", "absent", "restoring", "reverting", "restored", "reverted", "pinned")

CLUSTER_ID = re.compile("[0-9a-f]{1,16}")


class ActionModule(ActionBase):
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, self._args = self.validate_argument_spec(
            argument_spec={
                "pki_directory": {"type": "path", "required": True},
                "members": {"type": "list", "elements": "str"},
                "restoring": {"type": "dict"},
                "state": {"type": "str", "choices": list(STATES), "default": "present"},
            },
            required_if=[("state", "present", ("members",)), ("state", "restoring", ("restoring",))],
        )
        try:
            pki = PKI(Path(self._args["pki_directory"]))
            if self._args["state"] == "pinned":
                return result | {"changed": self._pin(pki)}
            before = pki.formed
            after = self._wanted(before, task_vars or {})
            if after != before and not self._task.check_mode:
                if after is None:
                    pki.clear_formed()
                else:
                    pki.mark_formed(after)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        # In check mode a restore has left no record to end.
        ends = self._args["state"] == "restored" and self._task.check_mode
        return result | {"changed": after != before or ends}

    def _pin(self, pki: PKI) -> bool:
        changed = not pki.pinned
        if changed and not self._task.check_mode:
            pki.pin_keys()
        return changed

    def _wanted(self, before: dict[str, Any] | None, task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """The record as it is to be; None where there is none."""
        state, now = self._args["state"], datetime.now(UTC).isoformat(timespec="seconds")
        record = dict(before or {})
        if state == "absent":
            return None
        if state == "present":
            if "cluster_id" in record:
                return before
            record = record or {"at": now, "members": sorted(self._args["members"])}
            return record | {"cluster_id": self._id_or_later(task_vars)}
        if state == "restoring":
            return record | self._restoring(now, record)
        restoring = record.get("restoring")
        if restoring and state == "reverting":
            record["restoring"] = restoring | {"back": True}
        elif restoring:
            del record["restoring"]
            if state == "restored":
                record |= {"cluster_id": restoring["cluster_id"], "restored": now}
        return record or None

    def _restoring(self, now: str, record: dict[str, Any]) -> dict[str, Any]:
        """Before the first member's data is replaced: the id and the revision of the restored cluster."""
        given = self._args["restoring"]
        backup, members, target = given["backup"], given["members"], int(given["target"])
        restoring = {
            "backup": {"token": backup["token"], "kept": backup["kept"]},
            "cluster_id": cluster_id(backup["token"], members.values()),
            "members": sorted(members),
            "at": now,
        }
        return {"at": record.get("at", now), "revision": target, "restoring": restoring}

    def _id_or_later(self, task_vars: dict[str, Any]) -> str:
        return "" if self._task.check_mode else self._cluster_id(task_vars)

    def _cluster_id(self, task_vars: dict[str, Any]) -> str:
        """etcd's own id of the cluster, as this host's member tells it."""
        found = call(self, task_vars, "etcd_backup", {"operation": "probe"})
        if found.problem:
            raise AnsibleActionFail(f"the cluster's id is not known: {found.problem}")
        if not CLUSTER_ID.fullmatch(found.cluster_id):
            raise AnsibleActionFail(f"{found.cluster_id[:100]!r} is not the id of a cluster of etcd")
        return str(found.cluster_id)
