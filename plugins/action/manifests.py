"""Applies Kubernetes objects, node labels and taints; see plugins/modules/manifests.py for its options.

Everything is read and rendered here, then compared and applied by one call to the host (hostside/manifests.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.manifests import Change
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.documents import (
    DocumentError,
    from_file,
    objects,
    parse,
    plain,
    text,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.spec import (
    SharedFiles,
    ready_timeout,
    render,
)

Result = dict[str, Any]
KINDS = ("src", "content", "file", "object")
PKI = "/etc/kubernetes/pki"

ARGUMENTS: dict[str, Any] = {
    "server": {"type": "str", "default": "https://127.0.0.1:6443"},
    "others": {"type": "list", "elements": "str", "default": []},
    "authority": {"type": "str", "default": f"{PKI}/ca.crt"},
    "certificate": {"type": "str", "default": f"{PKI}/admin.crt"},
    "key": {"type": "str", "default": f"{PKI}/admin.key", "no_log": False},
    "timeout": {"type": "int"},
    "nodes": {"type": "dict", "default": {}},
    "owner": {"type": "str", "default": ""},
    "prune_confirm": {"type": "bool", "default": False},
    "superseded": {"type": "list", "elements": "dict", "default": []},
    "superseded_users": {"type": "list", "elements": "str", "default": []},
    "wait_for": {
        "type": "dict",
        "default": {},
        "options": {
            "nodes": {"type": "list", "elements": "str", "default": []},
            "deployments": {"type": "list", "elements": "str", "default": []},
        },
    },
    "manifests": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "src": {"type": "str"},
            "content": {"type": "str"},
            "file": {"type": "str"},
            "object": {"type": "dict"},
        },
        "required_one_of": [KINDS],
        "mutually_exclusive": [KINDS],
    },
}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        spec = {name: args[name] for name in ("server", "others", "authority", "certificate", "key")}
        found = call(
            self,
            variables,
            "manifests",
            spec
            | {
                "check": self._task.check_mode,
                "patience": args["timeout"] or ready_timeout(self, variables),
                "objects": self._objects(variables, args["manifests"]),
                "wait_for": {"nodes": [], "deployments": []} | plain(args["wait_for"]),
                "nodes": {name: _node(wanted) for name, wanted in args["nodes"].items()},
                "superseded": plain(args["superseded"]),
                "superseded_users": args["superseded_users"],
                "owner": args["owner"],
                "prune_confirm": args["prune_confirm"],
            },
        )
        changes = found.changes
        result |= {"changed": bool(changes), "changes": [f"{change.action} {change.what}" for change in changes]}
        if changes:
            result["diff"] = [_difference(change) for change in changes]
        if found.notices:
            result["warnings"] = found.notices
        if not found.answered:
            servers = ", ".join([args["server"], *args["others"]])
            result["msg"] = f"no API server answers at {servers} yet: everything would be created"
        return result

    def _objects(self, task_vars: Result, manifests: list[Result]) -> list[Result]:
        found: list[tuple[str, Any]] = []
        problems = []
        for number, item in enumerate(manifests, 1):
            try:
                found += self._documents(task_vars, item, f"manifests item {number}")
            except DocumentError as error:
                problems.append(str(error))
        try:
            items = objects(found)
        except DocumentError as error:
            problems.append(str(error))
        if problems:
            raise AnsibleActionFail("\n".join(problems))
        return items

    def _documents(self, task_vars: Result, item: Result, place: str) -> list[tuple[str, Any]]:
        if item["src"]:
            return parse(render(self, task_vars, item["src"], SharedFiles(None)), Path(item["src"]).name)
        if item["file"]:
            return from_file(item["file"])
        if item["content"] is not None:
            return parse(item["content"], place)
        return [(place, item["object"])]


def _node(wanted: Mapping[str, Any]) -> Result:
    taints = [
        {name: value for name, value in taint.items() if value is not None} for taint in wanted.get("taints") or []
    ]
    return {"labels": plain(wanted.get("labels") or {}), "taints": plain(taints)}


def _difference(change: Change) -> dict[str, str]:
    header = f"{change.what} ({change.place})"
    return {
        "before_header": header,
        "after_header": header,
        "before": text(change.before),
        "after": text(change.after),
    }
