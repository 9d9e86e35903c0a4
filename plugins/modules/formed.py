# The task runs in plugins/action/formed.py, on the controller; this file is its documentation.
from __future__ import annotations

DOCUMENTATION = r"""
module: formed
short_description: Remember that a cluster was formed
description:
  - Leaves a mark in the PKI directory once every etcd member has answered, with the id that etcd gave the cluster, which the
    task's host is asked for. A member that then has no data is never started as if the cluster were new, and a missing
    authority is never made anew.
version_added: 0.1.0
author: The kubeinstall developers
options:
  pki_directory: {description: The cluster's PKI directory on the controller., type: path, required: true}
  members: {description: Names of the etcd members the cluster was formed of. Needed to mark it., type: list, elements: str}
  restoring:
    description: "Of a restore: C(backup) as M(kubeinstall.cluster.etcd_restore) has it, C(members), C(target)."
    type: dict
  state:
    description:
      - C(absent) forgets the cluster, once all its members are gone.
      - C(restoring) records a restore before it begins, C(reverting) that it is being undone. C(restored) ends it with the new
        cluster id, C(reverted) with the one before.
      - C(pinned) adds the digests of the service account's public key and of the encryption key. Other keys are refused from
        then on. Use it after the control planes were compared with them.
    type: str
    choices: [present, absent, restoring, reverting, restored, reverted, pinned]
    default: present
attributes:
  check_mode: {description: Leaves no mark., support: full}
"""

EXAMPLES = r"""
- name: Remember that the cluster was formed
  kubeinstall.cluster.formed:
    pki_directory: "{{ kubeinstall_pki_directory }}"
    members: "{{ etcd_members.keys() | list }}"
  run_once: true
"""

RETURN = ""
