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
  knowledge:
    description: What M(kubeinstall.cluster.membership) was told by the living cluster of its nodes and of those taken out.
    type: dict
    default: {}
  welcome:
    description: Hosts that come back on purpose after they were taken out.
    type: list
    elements: str
    default: []
  roles:
    description: The roles that this run is limited to. Empty for a whole run.
    type: list
    elements: str
    default: []
  data_losses:
    description: What M(kubeinstall.cluster.membership) was told of data that would be deleted. Refused, but in check mode.
    type: list
    elements: str
    default: []
  prune_confirm: {description: Whether that data may be deleted., type: bool, default: false}
  change:
    description:
      - A change of membership that is asked for. Refused where its hosts are not what it is about, or none would stay.
      - Or a reboot, of all hosts where none is named. Refused where one is not listed, or named twice.
    type: dict
    suboptions:
      verb: {description: What is to be done., type: str, required: true, choices: [remove, replace, reboot]}
      kind: {description: As what. Needed but to reboot., type: str, choices: [node, control_plane, etcd]}
      hosts: {description: With whom., type: list, elements: str, required: true}
"""

EXAMPLES = r"""
- name: Judge the inventory and what the hosts said
  kubeinstall.cluster.validate:
    reports: preflight
  run_once: true
"""

RETURN = r"""
msg: {description: "Everything that is wrong, one line for each; or in short what was looked at.", type: str, returned: always}
data_losses: {description: "What was refused of O(data_losses).", type: list, elements: str, returned: when it was}
order: {description: The hosts in the order in which they are rebooted., type: list, elements: str, returned: to reboot}
welcomed: {description: "The marks of the welcome hosts, which are to be forgotten, and the host of each.", type: dict, returned: success}
"""
