"""The settings that a cluster can't change once it runs, as this host's services have them."""

from __future__ import annotations

import json
import re
from typing import Dict, Optional

from .files import read
from .host import Host
from .record import DIRECTORY

UNITS = "/etc/systemd/system"
# {component: flags of its unit}
FLAGS = {
    "etcd": ("initial-advertise-peer-urls",),
    "kube-apiserver": ("etcd-prefix", "service-account-issuer", "service-cluster-ip-range"),
    "kube-controller-manager": ("cluster-cidr", "cluster-name", "node-cidr-mask-size"),
}


def found(host: Host) -> Dict[str, Dict[str, str]]:
    """{component: {flag or key of its configuration: value}} of those that were ready with them at least once."""
    answer = {}
    for name, flags in FLAGS.items():
        if was_ready(host, name):
            unit = read(host.path(f"{UNITS}/{name}.service")) or ""
            values = {flag: flag_of(unit, flag) for flag in flags}
            answer[name] = {flag: value for flag, value in values.items() if value is not None}
    if was_ready(host, "kubelet"):
        domain = re.search(
            r"^clusterDomain: (\S+)$", read(host.path("/var/lib/kubelet/config.yaml")) or "", re.MULTILINE
        )
        answer["kubelet"] = {"clusterDomain": domain[1]} if domain else {}
    if was_ready(host, "flannel"):
        try:
            config = json.loads(read(host.path("/etc/flannel/net-conf.json")) or "")
            answer["flannel"] = {"Network": str(config["Network"])}
        except (ValueError, LookupError, TypeError):
            answer["flannel"] = {}
    return answer


def was_ready(host: Host, component: str) -> bool:
    """A unit that never came up may hold a mistake: nothing depends on it yet."""
    try:
        return bool(json.loads(read(host.path(f"{DIRECTORY}/{component}.json")) or "{}").get("stamp"))
    except (ValueError, AttributeError):
        return False


def flag_of(unit: str, flag: str) -> Optional[str]:
    """The value of a flag in a unit as the roles write them, each a quoted word; the last one counts, as for Go."""
    words = re.findall(rf'("--{re.escape(flag)}=(?:[^"\\]|\\.)*")', unit)
    if not words:
        return None
    return str(json.loads(words[-1])).partition("=")[2].replace("%%", "%").replace("$$", "$")
