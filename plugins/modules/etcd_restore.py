# The task runs in plugins/action/etcd_restore.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: One step in making a backup the store of all etcd members
description:
  - The steps of all members go together, so the order is a playbook's; playbooks/etcd_restore.yml has it. Whatever can be
    wrong with a backup is found by V(read) and V(stage), while the store that lives goes on.
version_added: 0.1.0
author: The kubeinstall developers
options:
  part:
    description:
      - V(read) compares the backup with its digest, and the digest of its encryption key with the PKI directory's, on the
        controller alone. V(look) sees that the host answers.
      - V(revision) reads the revision of the member's data, also where it does not answer. V(target) chooses the revision of the
        restored data from O(looks), above every revision that clients can have seen.
      - V(stage) brings it to the host, proves it, sees that it is this cluster's, and restores it beside the store.
      - V(stop) and V(start) do so with O(unit); V(ready) starts it and waits until it answers.
      - V(swap) puts the store until now aside and the restored one in its place; V(put_back) undoes that, and V(finish) ends it.
      - V(wait) waits until the host's member serves; V(settle) does so too, and ends well also where it does not.
      - V(record) reads what the PKI directory has of a restore that was interrupted. V(inspect) finds the data that a member
        holds then, and V(complete) gives all of them the same.
    type: str
    choices: [read, look, revision, target, stage, stop, swap, start, wait, ready, put_back, settle, finish, record, inspect, complete]
    required: true
  src: {description: The backup on the controller. Needed by V(read)., type: path}
  cluster: {description: The cluster's name. Needed by V(read)., type: str}
  backup: {description: "What V(read) returned under that name.", type: dict}
  looks: {description: "What V(revision) returned, by member. Needed by V(target).", type: dict}
  restoring: {description: "What V(record) returned. Needed by V(inspect) and V(complete).", type: dict}
  data: {description: "What V(inspect) returned under that name, by member. Needed by V(complete).", type: dict}
  pki_directory:
    description: The cluster's PKI directory on the controller. Needed by V(read), V(stage), V(target) and V(record).
    type: path
  name: {description: This member's name. Needed by V(stage)., type: str}
  address: {description: This member's address. Needed by V(stage)., type: str}
  members: {description: "All members, as name and address. Needed by V(stage).", type: dict}
  unit: {description: "A systemd unit. Needed by V(stop), V(start) and V(ready).", type: str}
  ready: {description: "When it is ready, as M(kubeinstall.cluster.component) has it. Needed by V(ready).", type: dict}
attributes:
  check_mode: {description: Reads the backup and sees that the hosts answer., support: full}
  diff_mode: {description: There is nothing to compare., support: none}
"""

EXAMPLES = r"""
- name: Read the backup
  kubeinstall.cluster.etcd_restore:
    part: read
    src: backups/production-20260101T000000Z.db
    cluster: production
    pki_directory: "{{ kubeinstall_pki_directory }}"
  register: restore_read
  run_once: true
"""

RETURN = r"""
backup: {description: "What the other steps have to be told.", type: dict, returned: "with O(part=read)"}
facts: {description: "What FILE.json says, empty without one.", type: dict, returned: "with O(part=read)"}
revision: {description: The revision that the backup was taken at., type: int, returned: "with O(part=stage)"}
target: {description: The revision that the restored data begins at., type: int, returned: "with O(part=target) and O(part=stage)"}
restoring: {description: "The record, empty without one.", type: dict, returned: "with O(part=record)"}
data: {description: "The data in place: restored, staged, half or before.", type: str, returned: "with O(part=inspect)"}
forward: {description: Whether the members get the restored data., type: bool, returned: "with O(part=complete)"}
clock: {description: "The host's clock, in seconds.", type: int, returned: "with O(part=revision)"}
unreadable: {description: "Data whose revision is not known, and why.", type: list, elements: str, returned: "with O(part=revision)"}
keys: {description: How many keys it holds., type: int, returned: "with O(part=stage)"}
kubeinstall:
  description: "For the command: C(kind), C(version), C(kept), where the former data is, empty where there was none."
  type: dict
  returned: "with O(part=swap)"
"""
