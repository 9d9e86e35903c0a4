"""The inventory a lab writes: hosts.yml, the lab's policy in group_vars, and the state folder beside them.

The policy is what a container cannot do as a machine does. It is inputs of the roles and nothing else, each with its
reason, so that provisioning needs to know nothing of the lab.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubeinstall.components.pins import NAME as COMPONENT_DIGESTS
from kubeinstall.errors import InputError
from kubeinstall.lab.naming import CONTROL_PLANE, ETCD, NODE, HostPlan, etcd_members
from kubeinstall.lab.ssh import SshState

__all__ = ["LabFacts", "check_folder", "hosts_text", "policy_text", "remove", "ssh_state", "write", "wrote"]

_STATE = ".kubeinstall"
_MARKER = "lab.json"


@dataclass(frozen=True)
class LabFacts:
    """What decides the policy: the machine's control groups (1 or 2), whether CAP_SYS_RESOURCE is missing, whether the
    machine swaps, and the name servers pods can use."""

    cgroup_version: int
    restricted: bool
    swap: bool
    resolvers: tuple[str, ...] = ()


def ssh_state(folder: Path) -> SshState:
    """Where the inventory in `folder` keeps its key and known_hosts."""
    return SshState(folder / _STATE / "ssh")


def check_folder(folder: Path, lab: str) -> None:
    """Raise InputError where `folder` holds an inventory that this lab did not write."""
    if wrote(folder, lab):
        return
    if (folder / "hosts.yml").exists() or _owner(folder):
        raise InputError(
            f"{folder} is an inventory that the lab {lab!r} did not write",
            where="--name",
            remedy="give the lab another name, or move that folder away",
        )


def wrote(folder: Path, lab: str) -> bool:
    """Whether the inventory in `folder` is this lab's."""
    return _owner(folder) == lab


def write(folder: Path, lab: str, hosts: Sequence[HostPlan], facts: LabFacts) -> None:
    """Write the inventory of a lab into `folder`; what the user has put beside it stays."""
    check_folder(folder, lab)
    state = folder / _STATE
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)
    _put(state / _MARKER, json.dumps({"lab": lab}) + "\n")
    # Keys and runs are nobody's commit, wherever this inventory is.
    _put(state / ".gitignore", "*\n")
    variables = folder / "group_vars" / "all"
    variables.mkdir(parents=True, exist_ok=True)
    _put(folder / "hosts.yml", hosts_text(lab, hosts))
    _put(variables / "lab.yml", policy_text(facts))


def remove(folder: Path, lab: str) -> bool:
    """Remove what the lab and runs on its hosts wrote; False where the lab wrote nothing. Files of the user's stay."""
    if not wrote(folder, lab):
        return False
    for file in (folder / "hosts.yml", folder / "group_vars" / "all" / "lab.yml", folder / COMPONENT_DIGESTS):
        file.unlink(missing_ok=True)
    # The state goes last: its marker is what lets a `down` that was interrupted be repeated.
    shutil.rmtree(folder / _STATE)
    for empty in (folder / "group_vars" / "all", folder / "group_vars", folder):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
    return True


def _owner(folder: Path) -> str | None:
    """The lab that wrote this inventory, where one did."""
    try:
        return str(json.loads((folder / _STATE / _MARKER).read_text())["lab"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _put(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)


def hosts_text(lab: str, hosts: Sequence[HostPlan]) -> str:
    """The text of hosts.yml: the groups, each host with its address, and how to reach them from anywhere."""
    names = {role: [host.name for host in hosts if host.role == role] for role in (CONTROL_PLANE, ETCD, NODE)}
    lines = [
        f"# Written by `kubeinstall lab up --name {lab}`, and written again by the next one. `lab down` removes it.",
        "# Your own variables go into another file of group_vars/all/: files the lab did not write stay.",
        "all:",
        "  vars:",
        "    ansible_user: root",
        '    ansible_ssh_private_key_file: "{{ inventory_dir }}/.kubeinstall/ssh/id_ed25519"',
        "    # The lab read the host keys through the Docker engine: a host with another key is another host.",
        "    ansible_ssh_common_args: >-",
        "      -o 'UserKnownHostsFile=\"{{ inventory_dir }}/.kubeinstall/ssh/known_hosts\"'",
        "      -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none",
        "  hosts:",
    ]
    for host in hosts:
        lines += [f"    {host.name}:", f"      ansible_host: {host.address}", f"      node_address: {host.address}"]
    lines.append("  children:")
    for group, members in (
        ("control_plane", names[CONTROL_PLANE]),
        ("node", names[NODE]),
        ("etcd", etcd_members(names[CONTROL_PLANE], names[ETCD])),
    ):
        lines.append(f"    {group}:")
        lines.append("      hosts:" if members else "      hosts: {}")
        lines += [f"        {name}:" for name in members]
    return "\n".join(lines) + "\n"


def policy_text(facts: LabFacts) -> str:
    """The text of group_vars/all/lab.yml, with only what is true for the way the hosts run in."""
    blocks = [
        "---\n# What lab hosts cannot do as machines do, and why. Written by `kubeinstall lab up`.",
        "# The kernel is the machine's: a container loads no modules. The lab has looked that it has them.\n"
        "host_kernel_modules: []",
        "# Of the usual settings only those of the host's own network can be written from in here.\n"
        'host_sysctls:\n  net.ipv4.ip_forward: "1"\n  net.bridge.bridge-nf-call-iptables: "1"',
    ]
    if facts.restricted:
        blocks.append(
            "# This machine gives its containers no CAP_SYS_RESOURCE: oom_score_adj cannot go below 0.\n"
            "container_engine_restrict_oom_score_adj: true"
        )
    if facts.cgroup_version == 1:
        blocks.append(
            "# This machine has control groups of version 1: there systemd in a container delegates none.\n"
            "container_engine_systemd_cgroup: false"
        )
    blocks.append("kubelet_configuration:\n" + "\n".join(f"  {line}" for line in _kubelet_lines(facts)))
    blocks.append(
        "# The size of the connection table is the machine's: kube-proxy leaves it alone.\n"
        "kube_proxy_configuration:\n  conntrack:\n    maxPerCore: 0\n    min: 0"
    )
    forwarders = (
        "# Docker gives a host a resolver on 127.0.0.11, which no pod can reach: pods and CoreDNS get the machine's\n"
        "# own, if it has any that answer.\n"
        "kubelet_resolv_conf: /etc/kubelet-resolv.conf\ncoredns_forwarders:"
    )
    blocks.append(forwarders + ("".join(f"\n  - {address}" for address in facts.resolvers) or " []"))
    return "\n\n".join(blocks) + "\n"


def _kubelet_lines(facts: LabFacts) -> list[str]:
    lines = []
    if facts.cgroup_version == 1:
        lines += [
            "# Control groups of version 1: kubelet refuses them unless told, and makes them itself.",
            "failCgroupV1: false",
            "cgroupDriver: cgroupfs",
        ]
    if facts.restricted:
        lines += [
            "# Without CAP_SYS_RESOURCE kubelet may not lower its own oom_score_adj; with the gate it goes on.",
            "featureGates:",
            "  KubeletInUserNamespace: true",
        ]
    if facts.swap:
        lines += ["# The machine swaps, and its swap is not a lab host's to turn off.", "failSwapOn: false"]
    return [
        *lines,
        "# All hosts share the machine's disk: evicting pods on a full one would free nothing.",
        "imageGCHighThresholdPercent: 100",
        "evictionHard:",
        "  memory.available: 100Mi",
        "  nodefs.available: 0%",
        "  nodefs.inodesFree: 0%",
        "  imagefs.available: 0%",
    ]
