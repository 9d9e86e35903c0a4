"""Reads or completes the defaults in the bootstrap record; see plugins/modules/bootstrap_defaults.py."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.etcd_objects import Found
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall import bootstrap
from kubeinstall.bootstrap import BootstrapDefaults
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI

SHOWN = 5


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "pki_directory": {"type": "path", "required": True},
                "etcd_prefix": {"type": "str", "default": "/registry"},
            }
        )
        try:
            pki = PKI(Path(arguments["pki_directory"]))
            recorded = bootstrap.read(pki)
            defaults, plaintext = recorded, []
            # Once etcd holds no plaintext Secret it never will: the API server writes and reads encrypted ones only.
            if defaults is None or defaults.plaintext_secrets:
                defaults, plaintext = self._find(pki, recorded, arguments["etcd_prefix"], task_vars or {})
            changed = defaults != recorded
            if changed and not self._task.check_mode:
                bootstrap.record(pki, defaults)
        except KubeinstallError as error:
            raise AnsibleActionFail(str(error)) from error
        if plaintext:
            result["warnings"] = [_warning(plaintext)]
        return result | asdict(defaults) | {"changed": changed}

    def _find(
        self, pki: PKI, recorded: BootstrapDefaults | None, prefix: str, task_vars: dict[str, Any]
    ) -> tuple[BootstrapDefaults, list[str]]:
        """The defaults by what etcd holds, and its plaintext Secrets."""
        if pki.formed is None and self._task.check_mode:
            return bootstrap.NEW, []
        found: Found = call(self, task_vars, "etcd_objects", {"prefix": prefix})
        return bootstrap.derive(recorded, empty=found.empty, plaintext=bool(found.plaintext)), found.plaintext


def _warning(plaintext: list[str]) -> str:
    names = ", ".join(plaintext[:SHOWN]) + (f" and {len(plaintext) - SHOWN} more" if len(plaintext) > SHOWN else "")
    count = "1 Secret is" if len(plaintext) == 1 else f"{len(plaintext)} Secrets are"
    return (
        f"{count} not encrypted in etcd: {names}. Encrypt with"
        " `kubectl get secrets --all-namespaces --output=json | kubectl replace --filename=-` and run this again;"
        " until then the API servers accept plaintext Secrets"
    )
