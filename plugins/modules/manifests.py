# The task runs in plugins/action/manifests.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: manifests
short_description: Apply Kubernetes objects, node labels and node taints from a control plane
description:
  - Server-side apply with the field manager C(kubeinstall), in one round trip. Namespaces and definitions come first, the rest
    in the order it is written in. What others own in an object stays theirs.
  - Check mode asks the API for a dry run, so that defaults and refusals are the API's own. Where no cluster answers yet,
    everything is to be created.
  - Labels and taints of a node that were set by an earlier run and are no longer listed are removed; all others stay. Which ones
    were set is recorded in the ConfigMap C(kubeinstall-nodes) of C(kube-system), to which nodes can't write.
version_added: 0.1.0
author: The kubeinstall developers
options:
  server: {description: URL of the API server as seen from the host., type: str, default: "https://127.0.0.1:6443"}
  others:
    description: "URLs of the cluster's other API servers: the first of all that is ready serves. All of one cluster."
    type: list
    elements: str
    default: []
  authority: {description: Certificate of its authority on the host., type: str, default: /etc/kubernetes/pki/ca.crt}
  certificate: {description: Client certificate on the host., type: str, default: /etc/kubernetes/pki/admin.crt}
  key: {description: Its key on the host., type: str, default: /etc/kubernetes/pki/admin.key}
  timeout: {description: "Seconds to wait for each thing; by default the variable C(kubeinstall_ready_timeout), else 120.", type: int}
  manifests:
    description: "What to apply; exactly one of O(manifests[].src), O(manifests[].content), O(manifests[].file) and O(manifests[].object)."
    type: list
    elements: dict
    default: []
    suboptions:
      src: {description: Template of the role with one or more YAML documents., type: str}
      content: {description: YAML text., type: str}
      file: {description: YAML file on the controller., type: str}
      object: {description: One object., type: dict}
  nodes:
    description:
      - "Labels and taints by the node's name: C({NAME: {labels: {NAME: VALUE}, taints: [{key, value, effect}]}})."
      - What a list leaves out and an earlier run had set is removed.
    type: dict
    default: {}
  owner:
    description:
      - Name of the owner of these objects. Each that is created gets the label C(kubeinstall/owner) with this value, and all that are
        applied are recorded in the ConfigMap C(kubeinstall-manifests) of C(kube-system).
      - What is recorded, labelled and no longer listed is deleted. Objects that existed before they were listed stay.
    type: str
    default: ""
  prune_confirm:
    description:
      - Whether to delete volumes and their claims, namespaces, custom resources and definitions that have any. Without it, the task
        fails before it applies anything.
    type: bool
    default: false
  superseded:
    description:
      - Objects that an earlier version applied. Each is deleted if it still has this content, apart from its metadata.
    type: list
    elements: dict
    default: []
  superseded_users:
    description: Hosts that may still use the superseded objects. While there are any, these are kept, with a warning.
    type: list
    elements: str
    default: []
  wait_for:
    description: What has to be ready before the task ends; in check mode nothing is waited for.
    type: dict
    default: {}
    suboptions:
      nodes: {description: Nodes that have to be Ready; one whose kubelet has been silent for long is passed over., type: list, elements: str, default: []}
      deployments: {description: "Deployments, as C(NAMESPACE/NAME), all of whose pods have to be available.", type: list, elements: str, default: []}
attributes:
  check_mode: {description: By the API's own dry run., support: full}
  diff_mode: {description: "YAML of each object before and after, values of Secrets masked.", support: full}
"""

EXAMPLES = r"""
- name: Run the cluster's DNS
  kubeinstall.cluster.manifests:
    manifests:
      - {src: coredns.yaml.j2}
    nodes:
      worker-1: {labels: {disk: fast}, taints: []}
  run_once: true
"""

RETURN = r"""
changes: {description: "One sentence for each object that differs, such as C(create ConfigMap kube-system/coredns).", type: list, returned: always}
"""
