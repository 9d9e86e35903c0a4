# The task runs in plugins/action/boot.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: boot
short_description: See that the cluster can spare a host, and after its reboot that all of it is back
description:
  - Changes nothing. M(kubeinstall.cluster.reboot) is what the cluster is told of the host's reboot.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(spared) fails where etcd would have no quorum without this host, or no other API server answers; and on the machine
        that the run itself is on.
      - C(held) takes the run's hold on the cluster on this host again, which it has lost with its reboot.
      - C(settled) waits until every component answers, and fails on a host that has not rebooted.
    type: str
    required: true
    choices: [spared, held, settled]
  services:
    description: "What others have to do meanwhile: C(ready) and C(spare), as M(kubeinstall.cluster.component) has them."
    type: list
    elements: dict
    default: []
  before:
    description: The boot that the host is to get out of, as C(spared) tells it. Where C(spared), what an earlier run was told;
      a host that has rebooted since is not asked for what it can spare.
    type: str
  components: {description: "What has to answer: C(check), C(unit) and C(ready).", type: list, elements: dict, default: []}
  kubelet: {description: kubelet's unit. Not given for a host that is no node., type: str}
  timeout: {description: Seconds in which the components have to answer., type: int, default: 300}
attributes:
  check_mode: {description: There is nothing to wait for., support: full}
"""

EXAMPLES = r"""
- name: See that the others are enough
  kubeinstall.cluster.boot:
    state: spared
    services:
      - ready: {url: "http://127.0.0.1:2381/readyz"}
        spare: {etcd_member: "{{ inventory_hostname }}"}
"""

RETURN = r"""
before: {description: "The boot that it is to get out of: the one before, or this one.", type: str, returned: when spared}
rebooted: {description: Whether it is out of it., type: bool, returned: when spared}
kubeinstall: {description: "For the command: C(kind), C(version), C(rebooted).", type: dict, returned: when spared}
booted: {description: "When the host was started, in seconds since the epoch.", type: float, returned: when settled}
since: {description: "When kubelet was started, in seconds since the epoch.", type: float, returned: when settled}
"""
