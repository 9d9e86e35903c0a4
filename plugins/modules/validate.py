# The task runs in plugins/action/validate.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Judge the inventory as a whole, and what its hosts said of themselves
description:
  - Runs on the controller and connects to nothing. Looks at all hosts of the inventory, also under C(--limit), and fails
    once, with every problem there is, each with its host, its place and a remedy.
version_added: 0.1.0
author: The kubeinstall developers
options:
  reports:
    description:
      - Name of the variable in which each host has what M(kubeinstall.cluster.preflight) returned. Without it, or where a
        host has none, the inventory alone is judged.
    type: str
"""

EXAMPLES = r"""
- name: Judge the inventory and what the hosts said
  kubeinstall.cluster.validate:
    reports: preflight
  run_once: true
"""

RETURN = r"""
msg: {description: "Everything that is wrong, one line for each; or in short what was looked at.", type: str, returned: always}
"""
