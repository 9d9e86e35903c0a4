# The task runs in plugins/action/etcd_member.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Ask who is a member of etcd, let one in, or take one out
description:
  - Runs on the host of a member that answers, by C(delegate_to), and speaks of another one.
  - A member comes in as a learner, which has no vote, and is promoted once it has what the others have.
  - A member without which the others would be no quorum is not taken out.
version_added: 0.1.0
author: The kubeinstall developers
options:
  state:
    description:
      - C(asked) tells the members, and does not fail where none can be had.
      - C(announced) makes the member known, so that it can start. Refused for a name or an address that a started member has.
      - C(promoted) promotes every learner that has started. C(absent) takes the member out.
    type: str
    required: true
    choices: [asked, announced, promoted, absent]
  name: {description: The member's name., type: str}
  address: {description: The member's address., type: str}
  endpoints:
    description: "Others' URLs, asked where this host's own member is a learner and answers nothing. Where C(promoted)."
    type: list
    elements: str
    default: []
  timeout: {description: Seconds in which a learner has to catch up., type: int, default: 120}
attributes:
  check_mode: {description: Tells what it would do., support: full}
  diff_mode: {description: Lists the changes., support: full}
"""

EXAMPLES = r"""
- name: Take the member out
  kubeinstall.cluster.etcd_member:
    state: absent
    name: control-3
    address: 192.0.2.13
  delegate_to: control-1
"""

RETURN = r"""
members:
  description: "Where C(asked), a list of name, address and learner. Where C(announced), addresses by name, with which it starts."
  type: raw
  returned: when asked and answered, and when announced
answered: {description: Whether this host's member told., type: bool, returned: when asked}
peer_issuer: {description: "Common name of the CA of this host's certificate for peers.", type: str, returned: when asked and answered}
kubeinstall: {description: "For the command: C(kind), C(version), C(changes).", type: dict, returned: when absent}
changes: {description: One sentence for each change., type: list, elements: str, returned: when not asked}
"""
