# The task runs in plugins/action/preflight.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Ask a host what it is and has
description:
  - Only reads, in one round trip. Judges nothing and does not fail because of what it finds, which is
    M(kubeinstall.cluster.validate)'s part, where all hosts are seen together.
  - A host that cannot be reached is unreachable as in any task.
version_added: 0.1.0
author: The kubeinstall developers
options:
  vacant: {description: "Addresses that should be nobody's: RV(facts) says at which of them a host is.", type: list, elements: str, default: []}
  calendars: {description: "Calendar expressions: RV(facts) has what the host's systemd says against each.", type: list, elements: str, default: []}
  backend: {description: "flannel's backend that is wanted: RV(facts) says whether the kernel has what it needs.", type: str, default: ""}
"""

EXAMPLES = r"""
- name: Ask the host what it is and has
  kubeinstall.cluster.preflight:
  register: preflight
  ignore_unreachable: true
"""

RETURN = r"""
facts:
  description: The host's system, resources, ports, kernel features and addresses; documented in hostside/probe.py.
  type: dict
  returned: when the host answered
clock: {description: Seconds by which the host's clock is ahead of this machine's at the least., type: float, returned: when the host answered}
failure: {description: Why the host did not answer although it was reached., type: str, returned: when it did not}
"""
