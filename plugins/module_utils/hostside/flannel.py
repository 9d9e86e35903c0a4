"""flannel as it was set up on a host."""

from __future__ import annotations

import json
import os
import re
from typing import Dict, Optional

from .files import read
from .host import Host


def found(host: Host) -> Optional[Dict[str, str]]:
    """{backend, manager: kube or etcd, share: CIDR, empty where it does not run}, None where it was never set up."""
    try:
        config = json.loads(read(host.path("/etc/flannel/net-conf.json")) or "")
        backend = str(config["Backend"]["Type"])
    except (ValueError, LookupError, TypeError):
        return None
    on_etcd = os.path.exists(host.path("/etc/kubernetes/pki/flannel-etcd-client.crt"))
    share = re.search(r"^FLANNEL_SUBNET=(\S+)", read(host.path("/run/flannel/subnet.env")) or "", re.MULTILINE)
    return {"backend": backend, "manager": "etcd" if on_etcd else "kube", "share": share[1] if share else ""}
