# The task runs in plugins/action/pods.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: pods
short_description: End the containers of a host's pods without kubelet
description:
  - Stops and disables kubelet, then ends all containers that Kubernetes runs on the host. Other containers stay.
  - For a node whose kubelet does not report, before its pods are force-deleted. M(kubeinstall.cluster.reset) does the same by itself.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state: {description: C(absent) ends them., type: str, required: true, choices: [absent]}
attributes:
  check_mode: {description: Tells what it would end., support: full}
  diff_mode: {description: Lists what is ended., support: full}
"""

EXAMPLES = r"""
- name: End the pods' containers
  kubeinstall.cluster.pods:
    state: absent
"""

RETURN = r"""
changes: {description: One sentence for each change., type: list, elements: str, returned: always}
"""
