# The task runs in plugins/action/reboot.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: reboot
short_description: Empty a node before its reboot, and give it back to the cluster after it
description:
  - Runs on a control plane whose API server answers, by C(delegate_to), and speaks of another host. The reboot itself is
    M(ansible.builtin.reboot)'s, between C(emptied) and C(finished).
  - Who is to be rebooted is remembered in the cluster, in the ConfigMap C(kubeinstall-reboot) of C(kube-system), until it is
    done, so that a run that was cut short is gone on with by the next.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(asked) tells of a run that was cut short, and does not fail where no API server answers.
      - C(foreseen) fails where a disruption budget would not let a pod of the node go; a dry run on the server.
      - C(begun) remembers who is to be rebooted.
      - C(emptied) cordons the node and drains it. Pods that nobody makes anew stay, and so do all where no other node takes
        pods; those of a node whose kubelet is silent end with it.
      - C(finished) waits until the node is Ready since its reboot and the cluster's DNS is whole, and uncordons a node that
        was cordoned by C(emptied).
    type: str
    required: true
    choices: [asked, foreseen, begun, emptied, finished]
  name: {description: Name of the host. Needed to foresee, to empty and to finish., type: str}
  boots: {description: "The boot that each host is to get out of, by its name, where C(begun).", type: dict, default: {}}
  booted: {description: "When the host was started, in seconds since the epoch, where C(finished).", type: float, default: 0}
  since: {description: "When the host's kubelet was started, in seconds since the epoch; not given for a host that is no node.", type: float}
  timeout: {description: "Seconds in which the pods have to be gone, or the node has to be Ready.", type: int, default: 300}
attributes:
  check_mode: {description: Tells what it would do., support: full}
  diff_mode: {description: Lists the changes., support: full}
"""

EXAMPLES = r"""
- name: Drain the node
  kubeinstall.cluster.reboot:
    state: emptied
    name: node-3
  delegate_to: control-1
"""

RETURN = r"""
answered: {description: Whether an API server told., type: bool, returned: when asked}
roll: {description: "The hosts of a run that was cut short: boot, at, done.", type: dict, returned: when asked and answered}
kubeinstall:
  description: "For the command: C(kind), C(version); when asked the C(roll); when foreseen C(pods) that are evicted, as
    NAMESPACE/NAME, C(empty_dirs) those whose emptyDir data is deleted, C(staying) those that start again with the node,
    C(silent), whether its kubelet does not report, C(alone), whether no other node takes pods, C(cordoned), whether it was
    cordoned before and stays so; when begun the C(hosts); when finished the C(changes)."
  type: dict
  returned: unless emptied
changes: {description: One sentence for each change., type: list, elements: str, returned: when something is changed}
"""
