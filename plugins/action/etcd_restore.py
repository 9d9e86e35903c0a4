"""Makes a snapshot the store of all etcd members, one step at a time; see plugins/modules/etcd_restore.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import deliver
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall import backups
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import ETCD_USERS, PKI

PARTS = ("read", "look", "stage", "stop", "swap", "start", "wait", "ready", "put_back", "settle", "finish")
# What touches nothing, and so is done in check mode too.
LOOKING = ("read", "look")
# Of the steps' answers.
RETURNED = {"stage": ("revision", "keys"), "swap": ("kept",), "settle": ("problem",)}
REVISIONS_PER_SECOND = 10_000
ARGUMENTS: dict[str, Any] = {
    "part": {"type": "str", "choices": list(PARTS), "required": True},
    "src": {"type": "path"},
    "pki_directory": {"type": "path"},
    "cluster": {"type": "str"},
    "backup": {"type": "dict"},
    "name": {"type": "str"},
    "address": {"type": "str"},
    "members": {"type": "dict"},
    "unit": {"type": "str"},
    "ready": {"type": "dict"},
}
REQUIRED = [
    ("part", "read", ("src", "cluster", "pki_directory")),
    ("part", "stage", ("backup", "pki_directory", "name", "address", "members")),
    ("part", "swap", ("backup",)),
    ("part", "put_back", ("backup",)),
    ("part", "finish", ("backup",)),
    ("part", "stop", ("unit",)),
    ("part", "start", ("unit",)),
    ("part", "ready", ("unit", "ready")),
]


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _, self._args = self.validate_argument_spec(argument_spec=ARGUMENTS, required_if=REQUIRED)
        part = self._args["part"]
        try:
            if part == "read":
                return result | self._read()
            if self._task.check_mode and part not in LOOKING:
                return result | {"changed": True}
            answer = self._stage() if part == "stage" else self._call(part)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        done = {key: getattr(answer, key) for key in RETURNED.get(part, ())}
        return result | done | {"changed": part not in (*LOOKING, "wait", "settle")}

    def _call(self, part: str, **more: Any) -> Any:
        spec: dict[str, Any] = {"operation": part, "unit": self._args["unit"], "ready": self._args["ready"], **more}
        if self._args["backup"]:
            spec["kept"] = self._args["backup"]["kept"]
        return call(self, self._task_vars, "etcd_restore", spec)

    def _read(self) -> dict[str, Any]:
        """On the controller alone: the backup, and the names that all members' steps share."""
        found = backups.read(Path(self._args["src"]).absolute())
        moment = datetime.now(UTC)
        now = f"{moment:%Y%m%dT%H%M%SZ}"
        backup = {
            "path": str(found.path),
            "sha256": found.sha256,
            # Another one each time, and with it another id of the cluster: a member with the store until now joins none
            # that was restored.
            "token": f"{self._args['cluster']}-{now}",
            # Beyond all revisions that were ever given out, also after another restore: no etcd writes so fast.
            "bump": int(moment.timestamp()) * REVISIONS_PER_SECOND,
            "kept": f"/var/lib/etcd/before-restore-{now}.etcd",
        }
        warning = backups.check_key(found, PKI(Path(self._args["pki_directory"])))
        warnings = [warning] if warning else []
        if not found.facts:
            warnings.append(
                f"{backups.facts_file(found.path)} is missing: whether the backup is as it was taken is not known"
            )
        return {"backup": backup, "facts": dict(found.facts), "warnings": warnings}

    def _stage(self) -> Any:
        backup = self._args["backup"]
        pki = PKI(Path(self._args["pki_directory"]))
        pki.check()
        authority = pki.read("kubernetes/ca.crt")
        # A backup holds etcd's users as they were: the next run looks whether they are still wanted.
        pki.note(ETCD_USERS)
        places = deliver(self, self._task_vars, [(Path(backup["path"]), backup["sha256"])])
        return self._call(
            "stage",
            snapshot=places[backup["sha256"]],
            sha256=backup["sha256"],
            token=backup["token"],
            bump=backup["bump"],
            authority=authority,
            **{key: self._args[key] for key in ("name", "address", "members")},
        )
