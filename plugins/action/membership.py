"""Asks whom the cluster knows, and takes hosts out of it, on a control plane; see plugins/modules/membership.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.prune import entries
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.arguments import API_OF_THE_HOST
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import plain
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.documents import DocumentError, from_file, objects
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.errors import PKIError
from kubeinstall.pki import PKI
from kubeinstall.results import NodeRemoval, message

OPERATIONS = {
    "foreseen": "foresee",
    "drained": "drain",
    "force_deleted": "force",
    "marked": "mark",
    "absent": "delete",
    "welcome": "welcome",
}
STRINGS = {"type": "list", "elements": "str", "default": []}
KNOWN = ("nodes", "shares", "kubelets", "api_servers", "service_cidrs", "dns_address", "settings", "data_losses")
NOBODY: dict[str, Any] = {"answered": True, "problem": "", "nodes": {}, "shares": {}, "marks": {}, "data_losses": []}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["asked", *OPERATIONS], "required": True},
                "pki_directory": {"type": "path"},
                "name": {"type": "str"},
                "address": {"type": "str"},
                "kinds": STRINGS | {"choices": ["node", "etcd"]},
                "marks": STRINGS,
                "owner": {"type": "str"},
                "manifests": {"type": "list", "elements": "dict", "default": []},
                "timeout": {"type": "int", "default": 300},
            },
            required_if=[
                ("state", "asked", ("pki_directory",)),
                ("state", "foreseen", ("name",)),
                ("state", "drained", ("name",)),
                ("state", "force_deleted", ("name",)),
                ("state", "absent", ("name",)),
                ("state", "marked", ("name", "address")),
            ],
        )
        spec = API_OF_THE_HOST | {"check": self._task.check_mode, "seconds": arguments["timeout"]}
        spec["name"] = arguments["name"]
        state = arguments["state"]
        if state == "asked":
            if arguments["owner"]:
                spec |= {"owner": arguments["owner"], "wanted": _entries(arguments["manifests"])}
            return result | self._ask(variables, spec, Path(arguments["pki_directory"]))
        if state == "welcome":
            spec["marks"] = arguments["marks"]
        elif state == "marked":
            one = {"name": arguments["name"], "address": arguments["address"], "machine_id": ""}
            spec["marks"] = {f"{kind}.{one['name']}": one for kind in arguments["kinds"]}
        answer = call(self, variables, "membership", spec | {"operation": OPERATIONS[state]})
        if state == "foreseen":
            return result | message(NodeRemoval, **plain(answer))
        text = "".join(f"{change}\n" for change in answer.changes)
        diff = [{"before": "", "after": text, "after_header": arguments["name"] or "cluster"}] if text else []
        result |= {"changes": answer.changes, "changed": bool(text), "diff": diff}
        return result | {"silent": answer.silent} if state == "drained" else result

    def _ask(self, task_vars: dict[str, Any], spec: dict[str, Any], directory: Path) -> dict[str, Any]:
        """One that does not answer is no failure: another one is asked. Before the first run there is nobody to ask."""
        try:
            if not PKI(directory).has("formed.json"):
                return NOBODY
        except PKIError as error:
            raise AnsibleActionFail(str(error)) from error
        try:
            known = call(self, task_vars, "membership", spec | {"operation": "ask"})
        except (AnsibleConnectionFailure, AnsibleError) as error:
            return {"answered": False, "problem": str(error)}
        found = {name: getattr(known, name) for name in KNOWN}
        return {"answered": True, "problem": "", "marks": plain(known.marks), **found}


def _entries(manifests: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What the manifests list. One that is no manifest is said by the judgement of the inventory."""
    found: list[tuple[str, Any]] = []
    try:
        for item in manifests:
            found += from_file(item["file"]) if "file" in item else [("", item["object"])]
        return entries([item["object"] for item in objects(found)])
    except DocumentError:
        return []
