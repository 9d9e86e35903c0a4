"""Makes a snapshot the store of all etcd members, one step at a time; see plugins/modules/etcd_restore.py."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import deliver
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall import backups, restores
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import ETCD_USERS, PKI
from kubeinstall.results import EtcdRestore, message

PARTS = (
    *(
        "read",
        "look",
        "revision",
        "target",
        "stage",
        "stop",
        "swap",
        "start",
        "wait",
        "ready",
        "put_back",
        "settle",
        "finish",
    ),
    *("record", "inspect", "complete"),
)
# What touches nothing, and so is done in check mode too.
LOOKING = ("read", "look", "revision", "target", "record", "inspect")
# Of the steps' answers.
RETURNED = {
    "revision": ("revision", "unreadable", "clock"),
    "stage": ("revision", "keys", "target"),
    "settle": ("problem",),
    "inspect": ("data",),
}
ARGUMENTS: dict[str, Any] = {
    "part": {"type": "str", "choices": list(PARTS), "required": True},
    "src": {"type": "path"},
    "pki_directory": {"type": "path"},
    "cluster": {"type": "str"},
    "backup": {"type": "dict"},
    "looks": {"type": "dict"},
    "restoring": {"type": "dict"},
    "data": {"type": "dict"},
    "name": {"type": "str"},
    "address": {"type": "str"},
    "members": {"type": "dict"},
    "unit": {"type": "str"},
    "ready": {"type": "dict"},
}
REQUIRED = [
    ("part", "read", ("src", "cluster", "pki_directory")),
    ("part", "target", ("looks", "pki_directory")),
    ("part", "stage", ("backup", "pki_directory", "name", "address", "members")),
    ("part", "swap", ("backup",)),
    ("part", "put_back", ("backup",)),
    ("part", "finish", ("backup",)),
    ("part", "stop", ("unit",)),
    ("part", "start", ("unit",)),
    ("part", "ready", ("unit", "ready")),
    ("part", "record", ("pki_directory",)),
    ("part", "inspect", ("restoring",)),
    ("part", "complete", ("restoring", "data")),
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
        on_this_machine = {"read": self._read, "target": self._target, "record": self._record}
        try:
            if part in on_this_machine:
                return result | on_this_machine[part]()
            if part == "complete":
                return result | self._complete()
            if self._task.check_mode and part not in LOOKING:
                planned = message(EtcdRestore, kept=self._args["backup"]["kept"]) if part == "swap" else {}
                return result | {"changed": True} | planned
            answer = self._stage() if part == "stage" else self._call(part)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        done = {key: getattr(answer, key) for key in RETURNED.get(part, ())}
        if part == "swap":
            done = message(EtcdRestore, kept=answer.kept)
        if done.get("unreadable"):
            result["warnings"] = [f"revision not known of {what}" for what in done["unreadable"]]
        return result | done | {"changed": part not in (*LOOKING, "wait", "settle")}

    def _call(self, part: str, **more: Any) -> Any:
        spec: dict[str, Any] = {"operation": part, "unit": self._args["unit"], "ready": self._args["ready"], **more}
        backup = self._args["backup"] or (self._args["restoring"] or {}).get("backup")
        if backup:
            spec["kept"] = backup["kept"]
        return call(self, self._task_vars, "etcd_restore", spec)

    def _read(self) -> dict[str, Any]:
        """The backup, and the names that all members' steps share."""
        found = backups.read(Path(self._args["src"]).absolute())
        # Not by the time alone: a clock can be set back.
        unique = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        backup = {
            "path": str(found.path),
            "sha256": found.sha256,
            # Another one each time, and with it another id of the cluster: a member with the store until now joins none
            # that was restored.
            "token": f"{self._args['cluster']}-{unique}",
            "kept": f"/var/lib/etcd/before-restore-{unique}.etcd",
        }
        warning = backups.check_key(found, PKI(Path(self._args["pki_directory"])))
        warnings = [warning] if warning else []
        if not found.facts:
            warnings.append(
                f"{backups.facts_file(found.path)} is missing: whether the backup is as it was taken is not known"
            )
        return {"backup": backup, "facts": dict(found.facts), "warnings": warnings}

    def _target(self) -> dict[str, Any]:
        """The revision of the restored data, from what `revision` found on all members."""
        looks = self._args["looks"]
        silent = [name for name, look in looks.items() if "revision" not in look]
        if silent:
            raise AnsibleActionFail(f"no revision of etcd was read on {', '.join(silent)}. Nothing was changed")
        recorded = (PKI(Path(self._args["pki_directory"])).formed or {}).get("revision", 0)
        clocks = [time.time(), *(float(look["clock"]) for look in looks.values())]
        revisions = [int(look["revision"]) for look in looks.values()]
        return {"target": restores.target_revision(revisions, clocks, int(recorded))}

    def _record(self) -> dict[str, Any]:
        """What formed.json has of a restore that was interrupted."""
        return {"restoring": (PKI(Path(self._args["pki_directory"])).formed or {}).get("restoring") or {}}

    def _complete(self) -> dict[str, Any]:
        restoring, data = self._args["restoring"], self._args["data"]
        unknown = [name for name, found in data.items() if not found]
        if unknown:
            raise AnsibleActionFail(
                f"an etcd restore was interrupted, and the data of {', '.join(unknown)} was not inspected: they are not"
                " part of this run. Nothing was changed. Run it for all members of etcd"
            )
        forward = restores.goes_forward(data, back=bool(restoring.get("back")))
        own = data[self._task_vars["inventory_hostname"]]
        changed = own in (("staged", "half") if forward else ("staged", "half", "restored"))
        if changed and not self._task.check_mode:
            self._call("complete", forward=forward)
        return {"forward": forward, "changed": changed}

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
            target=int(backup["target"]),
            authority=authority,
            **{key: self._args[key] for key in ("name", "address", "members")},
        )
