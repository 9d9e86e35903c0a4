"""The certificates on a host, in one round trip; see plugins/modules/certificates.py."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.hostcall import call

from kubeinstall.certs import described
from kubeinstall.results import CertificateList, message


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        found = call(self, task_vars or {}, "certificates_list", {}).certificates
        described_ones = (described(one.pem, one.component, one.path) for one in found)
        # Copies of the authorities are no certificates of the host's.
        listed = [one for one in described_ones if one["kind"] != "authority"]
        return result | message(CertificateList, certificates=listed)
