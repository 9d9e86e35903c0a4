# The task runs in plugins/action/etcd_users.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_users
short_description: Make the users of etcd, and let nobody else in
description:
  - etcd knows a client by the common name of its certificate. Once its authentication is on, a client that is no user of that name
    reaches nothing, and a user no more than its roles say. Users have no passwords.
  - Runs on the host of a member. Users and roles that others made are left alone. A name that somebody else's user has is refused.
  - The PKI directory remembers that there are users, so that a later run that wants none knows of them.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(present) makes the users and takes away those of ours that are not named. C(enabled) turns authentication on besides.
      - C(disabled) turns authentication off, C(absent) takes all users of ours away besides.
      - C(proven) fails where a client on this host is not let in any more, or flannel further than to its prefix. It changes nothing.
    type: str
    required: true
    choices: [present, enabled, disabled, absent, proven]
  endpoints: {description: URLs of all members. Needed unless C(proven)., type: list, elements: str, default: []}
  users: {description: "Prefix of the keys that each may read and write, by name; all rights where it is empty.", type: dict, default: {}}
  belongings: {description: "Prefixes of the keys that go when the user of that name goes.", type: dict, default: {}}
  pki_directory: {description: "The cluster's PKI directory; by default the variable C(kubeinstall_pki_directory).", type: path}
  member: {description: "URL of this host's member, which has to answer the health check's client, where C(proven).", type: str}
  api_server: {description: "Whether this host's API server has to answer, where C(proven).", type: bool, default: false}
  flannel: {description: "Path of flannel's certificate without its end as C(client), and its C(prefix), where C(proven).", type: dict}
  timeout: {description: "Seconds in which all of them have to answer, where C(proven).", type: int, default: 60}
attributes:
  check_mode: {description: Tells what it would do., support: full}
  diff_mode: {description: Lists the changes., support: full}
"""

EXAMPLES = r"""
- name: Make the users
  kubeinstall.cluster.etcd_users:
    state: present
    endpoints: ["https://192.0.2.11:2379"]
    users: {root: "", shop: /apps/shop/}
    pki_directory: "{{ inventory_dir }}/.kubeinstall/pki"
"""

RETURN = r"""
changes: {description: One sentence for each change., type: list, elements: str, returned: unless proven}
turned_on: {description: Whether authentication was off and is on., type: bool, returned: unless proven}
"""
