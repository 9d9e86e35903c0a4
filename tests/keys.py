"""The API, asked with a key that lies on a host."""

from __future__ import annotations

import json
import shlex
from typing import NamedTuple

from testinfra.host import Host

from tests.lab import Lab

__all__ = ["Answer", "patch_node"]

PKI = "/etc/kubernetes/pki"


class Answer(NamedTuple):
    """The HTTP status; the message where the API refuses."""

    code: int
    message: str


def patch_node(lab: Lab, host: Host, key: str, path: str, body: object) -> Answer:
    """Patch the Node at `path` with the certificate and the key of that name (`flannel`, `kubelet-client`)."""
    curl = ["curl", "--silent", "--show-error", "--max-time", "10", "--request", "PATCH", "--write-out", "%{http_code}"]
    curl += ["--cacert", f"{PKI}/ca.crt", "--cert", f"{PKI}/{key}.crt", "--key", f"{PKI}/{key}.key"]
    curl += ["--header", "Content-Type: application/merge-patch+json", "--data", json.dumps(body)]
    url = f"https://{lab.address(lab['control_plane'][0])}:6443/api/v1/nodes/{path}"
    text = lab.sh(host, shlex.join([*curl, url]))
    answer = json.loads(text[:-3])
    return Answer(int(text[-3:]), str(answer.get("message", "")) if answer["kind"] == "Status" else "")
