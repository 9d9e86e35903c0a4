# The task runs in plugins/action/reset.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: reset
short_description: Take the cluster off a host
description:
  - Stops and removes every component that M(kubeinstall.cluster.component) recorded on the host, with the pods, mounts,
    network links, routes and packet filter rules of theirs, and gives back the files and kernel settings that were there
    before. What is not ours stays. On a host without records nothing is touched.
version_added: 0.1.0
author: The kubeinstall developers
options:
  components:
    description: What to remove besides what the records list, in the order in which the components go.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The component's name in its record., type: str, required: true}
      remove: {description: "Folders and files with what it made while it ran, its data.", type: list, elements: str, default: []}
      remove_links: {description: Network links that it made., type: list, elements: str, default: []}
      keep:
        description: Folders that stay. They go to root if the user that they belong to is removed.
        type: list
        elements: str
        default: []
  alone:
    description:
      - Only these go; the others of ours stay, and so does the network.
      - A container engine goes with the pods that run on it, and kubelet is stopped.
    type: bool
    default: false
  unfinished:
    description: With O(alone), the records stay until this is called without it, for others are to come in their place.
    type: bool
    default: false
  backups: {description: Folder with backups of etcd. Those that stay are counted., type: path}
attributes:
  check_mode: {description: Tells what it would remove., support: full}
  diff_mode: {description: Lists what is removed., support: full}
"""

EXAMPLES = r"""
- name: Take the cluster off the host
  kubeinstall.cluster.reset:
    components:
      - {name: flannel, remove: [/run/flannel, /var/lib/cni], remove_links: [cni0, flannel.1]}
      - {name: etcd, remove: [/var/lib/etcd, /etc/etcd]}
"""

RETURN = r"""
kubeinstall:
  description: "For the command: C(kind), C(version); what was C(removed), what was C(kept), because it is not ours alone,
    and why; the C(backups) of etcd that stay: C(directory), C(count), C(newest)."
  type: dict
  returned: always
"""
