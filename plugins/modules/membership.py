# The task runs in plugins/action/membership.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: membership
short_description: Ask whom the cluster knows, drain and delete a node, and record removed hosts
description:
  - Runs on a control plane whose API server answers, by C(delegate_to), and speaks of another host.
  - Who was taken out is remembered in the cluster, in the ConfigMap C(kubeinstall-removed) of C(kube-system), by name, address and
    machine-id, so that a host that is still listed does not come back by the next run.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(asked) tells the nodes and those taken out, and does not fail where no API server answers.
      - C(foreseen) fails where a disruption budget would not let a pod of the node go; a dry run on the server.
      - C(drained) cordons the node and evicts its pods. It ends without an error where the node's kubelet does not report;
        C(silent) tells.
      - C(force_deleted) deletes the pods of a node whose kubelet does not report from the API, without waiting for their end. End
        their containers first where the host answers (M(kubeinstall.cluster.pods)).
      - C(marked) records the removal of a host; a Node's own machine-id and address go into the record.
      - C(absent) deletes the Node; its removal has to be recorded before.
      - C(welcome) removes the record.
      - Each is idempotent, so that a removal that was interrupted goes on with the next run.
    type: str
    required: true
    choices: [asked, foreseen, drained, force_deleted, marked, absent, welcome]
  pki_directory: {description: The cluster's PKI directory; before it was formed there is nobody to ask. Needed to ask., type: path}
  name: {description: Name of the host., type: str}
  address: {description: Its node address., type: str}
  kinds: {description: "As what it is remembered, where C(marked).", type: list, elements: str, choices: [node, etcd], default: []}
  marks: {description: "What is forgotten, where C(welcome): KIND.NAME.", type: list, elements: str, default: []}
  owner: {description: "To ask, owner of O(manifests), as of M(kubeinstall.cluster.manifests).", type: str}
  manifests:
    description: "To ask, what is going to be applied: C({file: PATH}) or C({object: OBJECT}). What left is looked at for its data."
    type: list
    elements: dict
    default: []
  timeout: {description: Seconds in which the pods have to be gone., type: int, default: 300}
attributes:
  check_mode: {description: Tells what it would do., support: full}
  diff_mode: {description: Lists the changes., support: full}
"""

EXAMPLES = r"""
- name: Drain the node
  kubeinstall.cluster.membership:
    state: drained
    name: node-3
  delegate_to: control-1

- name: Record the removal
  kubeinstall.cluster.membership:
    state: marked
    kinds: [node]
    name: node-3
    address: 192.0.2.23
  delegate_to: control-1

- name: Delete the Node
  kubeinstall.cluster.membership:
    state: absent
    name: node-3
  delegate_to: control-1
"""

RETURN = r"""
answered: {description: Whether an API server told., type: bool, returned: when asked}
nodes: {description: "The nodes' addresses, by name.", type: dict, returned: when asked and answered}
shares: {description: "The nodes' shares of the pods' network, by name.", type: dict, returned: when asked and answered}
marks: {description: "Who was taken out: name, machine_id, address, at.", type: dict, returned: when asked and answered}
data_losses: {description: "Objects that would be deleted with their data, a sentence on each.", type: list, elements: str, returned: when asked and answered}
kubeinstall:
  description: "For the command: C(kind), C(version); C(there), whether it is a node; C(pods) that are evicted, as NAMESPACE/NAME,
    C(lost) unmanaged ones among them, C(empty_dirs) those whose emptyDir data is deleted; C(silent), whether its kubelet does
    not report."
  type: dict
  returned: when foreseen
silent: {description: Whether its kubelet does not report., type: bool, returned: when drained}
changes: {description: One sentence for each change., type: list, elements: str, returned: when something is changed}
"""
