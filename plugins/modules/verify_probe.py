# The task runs in plugins/action/verify_probe.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: verify_probe
short_description: One part of the verification of a cluster
description:
  - Looks at a host's components and certificates, starts pods to try the network from, or tries the network.
  - It returns what it found instead of failing, so that one wrong thing hides no other. playbooks/verify.yml uses it.
version_added: 0.1.0
author: The kubeinstall developers
options:
  part:
    description:
      - V(host) asks the components for their health and reads the certificates; V(cluster) starts a pod on every node, or takes
        them away; V(network) tries the network from the host and from within the pod on it.
    type: str
    choices: [host, cluster, network]
    required: true
  spec: {description: What the part works on; hostside/verify_host.py and its siblings list it., type: dict, required: true}
  names: {description: "Names and addresses that certificates have to carry, by their paths.", type: dict, default: {}}
attributes:
  check_mode: {description: Starts no pods then., support: full}
  diff_mode: {description: It changes nothing., support: none}
"""

EXAMPLES = r"""
- name: See that kubelet answers
  kubeinstall.cluster.verify_probe:
    part: host
    spec:
      components: [{check: kubelet, unit: kubelet.service, ready: {url: "http://127.0.0.1:10248/healthz"}}]
      serving: []
      directories: []
"""

RETURN = r"""
kubeinstall:
  description: "For the command: C(kind), C(version) and C(checks), what was looked at: check, host, problems (sentences), detail."
  type: dict
  returned: always
network: {description: "With V(cluster), what V(network) has to be told.", type: dict, returned: "with O(part=cluster)"}
"""
