# The task runs in plugins/action/bootstrap_defaults.py, on the control node; this file is its documentation.
from __future__ import annotations

DOCUMENTATION = r"""
module: bootstrap_defaults
short_description: Record the defaults that a cluster was bootstrapped with
description:
  - Some defaults became stricter for new clusters. This task tells which ones a cluster has, from its bootstrap record in the PKI
    directory. Where they are not recorded yet, etcd is read on the task's host, a member's, and the record is completed. A cluster
    without any object in etcd is new.
  - Warns of Secrets that lie in etcd without encryption, and reads etcd again in each run until there are none.
version_added: 0.1.0
author: The kubeinstall developers
options:
  pki_directory: {description: The cluster's PKI directory on the control node., type: path, required: true}
  etcd_prefix: {description: Prefix of the API server's keys in etcd., type: str, default: /registry}
attributes:
  check_mode: {description: Reads etcd where the cluster exists; records nothing., support: full}
"""

EXAMPLES = r"""
- name: Read the bootstrap defaults
  kubeinstall.cluster.bootstrap_defaults:
    pki_directory: "{{ kubeinstall_pki_directory }}"
  run_once: true
  delegate_to: "{{ groups['etcd'] | first }}"
  register: kubeinstall_bootstrap
"""

RETURN = r"""
pod_security: {description: The Pod Security level where no input sets one., type: str, returned: always}
plaintext_secrets: {description: Whether etcd may hold Secrets that are not encrypted., type: bool, returned: always}
"""
