# The task runs in plugins/action/status.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Tell how the components on a host fare
description:
  - Reads the records that M(kubeinstall.cluster.component) leaves in /var/lib/kubeinstall, and the state of their
    systemd units. With O(server), also the nodes that the API knows. Touches nothing.
version_added: 0.1.0
author: The kubeinstall developers
options:
  server: {description: URL of an API server as the host reaches it., type: str}
  authority: {description: Path on the host of the authority's certificate. Needed with O(server)., type: path}
  certificate: {description: Path on the host of the client certificate. Needed with O(server)., type: path}
  key: {description: Path on the host of the certificate's key. Needed with O(server)., type: path}
"""

EXAMPLES = r"""
- name: See how the components fare
  kubeinstall.cluster.status:
    server: https://127.0.0.1:6443
    authority: /etc/kubernetes/pki/ca.crt
    certificate: /etc/kubernetes/pki/admin.crt
    key: /etc/kubernetes/pki/admin.key
"""

RETURN = r"""
components:
  description: The components, each with C(name), C(versions), C(unit), its C(state) (systemd's ActiveState), whether it
    is C(enabled), the C(seconds) it has been in that state, its C(restarts) and a C(problem) with its record.
  type: list
  elements: dict
  returned: always
nodes:
  description: The API's table of nodes as dictionaries, null where the API was not asked or did not answer.
  type: list
  elements: dict
  returned: always
api: {description: Why there are no nodes., type: str, returned: always}
"""
