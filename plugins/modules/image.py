# The task runs in plugins/action/image.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Take container images to a host's container engine
description:
  - Loads images from archives on the controller (as C(docker save) writes them) into the container engine, where kubelet finds them.
  - An image that the host has already, with the same content, is not delivered again.
version_added: 0.1.0
author: The kubeinstall developers
options:
  archives: {description: Archives on the controller., type: list, elements: path, required: true}
attributes:
  check_mode: {description: Exact., support: full}
  diff_mode: {description: Names the images that would be loaded., support: full}
"""

EXAMPLES = r"""
- name: Load the application
  kubeinstall.cluster.image:
    archives: [/tmp/application.tar]
"""

RETURN = r"""
changes: {description: "One sentence for each image that is loaded.", type: list, returned: always}
"""
