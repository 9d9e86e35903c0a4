# The task runs in plugins/action/status.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Read component, node and etcd status
description:
  - Reads the records that M(kubeinstall.cluster.component) leaves in /var/lib/kubeinstall, and the state of their
    systemd units. With O(server), also the API's nodes and leaders. Touches nothing, and waits 2 seconds at most.
version_added: 0.1.0
author: The kubeinstall developers
options:
  server: {description: URL of an API server as the host reaches it., type: str}
  authority: {description: Path on the host of the authority's certificate. Needed with O(server)., type: path}
  certificate: {description: Path on the host of the client certificate. Needed with O(server)., type: path}
  key: {description: Path on the host of the certificate's key. Needed with O(server)., type: path}
  leases:
    description: Services whose instances elect a leader by a Lease in kube-system. Asked for with O(server).
    type: list
    elements: str
    default: []
  etcd: {description: Whether the host has a member of etcd., type: bool, default: false}
"""

EXAMPLES = r"""
- name: Read the status of a control plane
  kubeinstall.cluster.status:
    server: https://127.0.0.1:6443
    authority: /etc/kubernetes/pki/ca.crt
    certificate: /etc/kubernetes/pki/admin.crt
    key: /etc/kubernetes/pki/admin.key
    leases: [kube-controller-manager, kube-scheduler]
    etcd: true
"""

RETURN = r"""
kubeinstall:
  description: "For the command: C(kind), C(version); C(components), each with C(name), C(versions), C(unit), its C(state)
    (systemd's ActiveState), whether it is C(enabled), the C(seconds) it has been in that state, its C(restarts) by systemd
    and a C(problem); C(nodes), the API's table of nodes, and C(leaders), each with C(service), C(holder) and C(problem), or
    in C(api) why these are not known; C(member), the host's etcd member with C(identity), C(leader) (whether it knows one),
    C(learner), C(alarms) and C(problem)."
  type: dict
  returned: always
"""
