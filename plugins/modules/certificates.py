# The task runs in plugins/action/certificates.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: List the certificates of the components on a host
description:
  - Reads the certificates that the records in /var/lib/kubeinstall list, and what they say. Touches nothing.
version_added: 0.1.0
author: The kubeinstall developers
options: {}
"""

EXAMPLES = r"""
- name: Read the host's certificates
  kubeinstall.cluster.certificates:
  register: found
"""

RETURN = r"""
kubeinstall:
  description: "For the command: C(kind), C(version) and C(certificates), each with C(component), C(path), C(subject),
    C(authority), C(expires) (UTC), C(days) left, and a C(problem) where it can't be read."
  type: dict
  returned: always
"""
