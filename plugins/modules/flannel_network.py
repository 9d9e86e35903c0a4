# The task runs in plugins/action/flannel_network.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: flannel_network
short_description: Put flannel's network into etcd, with the shares that nodes have of it
description:
  - Where flannel's subnet manager is etcd, it reads its network there, and takes for each node the share that lies there under the
    node's address. It is given the one that the API has for the node (its podCIDR), so that pods keep their addresses whichever
    subnet manager there is. flannel holds it from then on by a lease.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(asked), on a control plane, tells the nodes' shares once each has its own.
      - C(present), on the host of a member of etcd, puts the network and the shares there. A node that has a share keeps it.
      - C(absent) frees the share of a node that is gone.
    type: str
    required: true
    choices: [asked, present, absent]
  nodes: {description: "Names of the nodes, where C(asked).", type: list, elements: str, default: []}
  others: {description: "URLs of other API servers, where C(asked) and this host's own does not answer.", type: list, elements: str, default: []}
  timeout: {description: "Seconds in which the nodes have to have theirs, where C(asked).", type: int, default: 120}
  endpoints: {description: "URLs of all members of etcd, unless C(asked).", type: list, elements: str, default: []}
  prefix: {description: "Prefix of flannel's keys in etcd, unless C(asked).", type: str}
  config: {description: "The network as flannel reads it, where C(present).", type: json}
  shares: {description: "The nodes' addresses by their shares, where C(present).", type: dict, default: {}}
  address: {description: "The node's address, where C(absent).", type: str}
attributes:
  check_mode: {description: Tells what it would do., support: full}
  diff_mode: {description: Lists the changes., support: full}
"""

EXAMPLES = r"""
- name: Put the network into etcd
  kubeinstall.cluster.flannel_network:
    state: present
    endpoints: ["https://192.0.2.11:2379"]
    prefix: /coreos.com/network
    config: {Network: 10.244.0.0/16, Backend: {Type: vxlan}}
    shares: {10.244.1.0/24: 192.0.2.21}
"""

RETURN = r"""
shares: {description: "The nodes' addresses, by their shares.", type: dict, returned: when asked}
changes: {description: One sentence for each change., type: list, elements: str, returned: unless asked}
"""
