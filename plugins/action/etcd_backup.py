"""Takes a snapshot of etcd, proves it, and brings it to the controller; see plugins/modules/etcd_backup.py."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import interpreter
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.delivery import landing
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.fetching import fetch
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall import backups
from kubeinstall.access import write_private
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI
from kubeinstall.results import EtcdBackup, message

DIGEST = re.compile("[0-9a-f]{64}")
# What is kept beside the backup.
FACTS = ("sha256", "size", "cluster_id", "etcd_version", "revision", "keys")
ARGUMENTS: dict[str, Any] = {
    "part": {"type": "str", "choices": ["probe", "save", "data", "stored"], "required": True},
    "cluster": {"type": "str"},
    "dest": {"type": "path"},
    "directory": {"type": "path"},
    "member": {"type": "str"},
    "pki_directory": {"type": "path"},
    "backups": {"type": "path"},
}
NEEDED = ("cluster", "directory", "member", "pki_directory")


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            required_if=[("part", "save", NEEDED), ("part", "data", NEEDED), ("part", "stored", (*NEEDED, "backups"))],
        )
        if arguments["part"] == "probe":
            probed = call(self, variables, "etcd_backup", {"operation": "probe"})
            return result | {"problem": probed.problem, "cluster_id": probed.cluster_id}
        try:
            return result | self._save(variables, arguments)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error

    def _save(self, task_vars: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        path = backups.destination(arguments["dest"] or "", Path(arguments["directory"]), arguments["cluster"], now)
        part = arguments["part"]
        result = {"changed": True, "changes": [f"back up etcd to {path}"], **message(EtcdBackup, file=str(path))}
        if self._task.check_mode:
            return result
        pki = PKI(Path(arguments["pki_directory"]))
        pki.check()
        directory = landing(self, interpreter(self, task_vars))
        spec = {
            "operation": part,
            "directory": directory,
            "backups": arguments["backups"],
            "member": arguments["member"],
        }
        taken = call(self, task_vars, "etcd_backup", spec)
        if taken.path != f"{directory}/{taken.sha256}" or not DIGEST.fullmatch(taken.sha256):
            raise AnsibleActionFail("this host names another file than the snapshot that it was asked for")
        # One that is there already told of another snapshot.
        backups.facts_file(path).unlink(missing_ok=True)
        fetch(self, task_vars, taken.path, path, taken.size, taken.sha256)
        facts = {key: getattr(taken, key) for key in FACTS}
        facts |= {"cluster": arguments["cluster"], "member": arguments["member"]}
        # A stored backup can be older than this key.
        if pki.pinned and part != "stored":
            facts["encryption_key"] = pki.key_digest()
        facts["time"] = (_time_of(taken.time) if part == "stored" else now).isoformat(timespec="seconds")
        write_private(backups.facts_file(path), json.dumps(facts, indent=2, sort_keys=True) + "\n")
        return result | {"facts": facts}


def _time_of(stamp: str) -> datetime:
    """When a backup was taken, by its name on the host."""
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise AnsibleActionFail(f"this host names a backup by {stamp[:100]!r}, which is no time") from None
