# The task runs in plugins/action/etcd_backup.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_backup
short_description: Take a snapshot of etcd, prove it, and bring it to the controller
description:
  - The snapshot is restored aside on its host and served there by a member of its own before it counts. On the controller
    its digest is compared with the host's; it appears whole or not at all, mode 0600, with its digest and what is known of
    it in FILE.json beside it. playbooks/etcd_backup.yml uses it.
version_added: 0.1.0
author: The kubeinstall developers
options:
  part:
    description:
      - V(probe) asks the host's member whether it can be asked for a snapshot, V(save) takes one there.
      - V(data) makes one from this member's data alone, without a quorum. V(stored) takes the newest in O(backups).
    type: str
    choices: [probe, save, data, stored]
    required: true
  cluster: {description: The cluster's name. Needed to save., type: str}
  directory: {description: "The cluster's folder on the controller, in which backups/ is made. Needed to save.", type: path}
  dest: {description: "A file or folder on the controller, instead of backups/ in O(directory).", type: path}
  backups: {description: Folder on the host with the backups of its timer. Needed by V(stored)., type: path}
  member: {description: Name of the member that is asked. Needed to save., type: str}
  pki_directory: {description: "The cluster's PKI directory on the controller, for the digest of the encryption key. Needed to save.", type: path}
attributes:
  check_mode: {description: Takes none., support: full}
  diff_mode: {description: It changes nothing on the host., support: none}
"""

EXAMPLES = r"""
- name: Take a snapshot
  kubeinstall.cluster.etcd_backup:
    part: save
    cluster: production
    directory: "{{ inventory_dir }}/.kubeinstall"
    member: "{{ inventory_hostname }}"
    pki_directory: "{{ inventory_dir }}/.kubeinstall/pki"
  run_once: true
"""

RETURN = r"""
problem: {description: "Why the member can't be asked, empty when it can.", type: str, returned: "with O(part=probe)"}
cluster_id: {description: etcd's own id of the cluster., type: str, returned: "with O(part=probe)"}
kubeinstall:
  description: "For the command: C(kind), C(version), C(file), where the backup is."
  type: dict
  returned: "unless O(part=probe)"
facts: {description: What FILE.json says., type: dict, returned: "with O(part=save), but not in check mode"}
"""
