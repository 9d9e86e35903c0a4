"""Judges what the hosts say of themselves (hostside/probe.py) against what the inventory asks of them."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from kubeinstall.cluster.balancer import BALANCER_PORT, LOCAL, virtual_address
from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.networks import cluster_networks
from kubeinstall.cluster.reports import AUTHORITIES, PORTS, Facts, Report
from kubeinstall.cluster.traffic import check_traffic
from kubeinstall.components.catalogue import MACHINES
from kubeinstall.errors import PKIError
from kubeinstall.pki import PKI

__all__ = ["check_facts"]

OLDEST_PYTHON = (3, 9)
CLOCK_SECONDS = 30
# MiB of our programs under /usr/local, where that is a file system of its own.
PROGRAMS_DISK = 1024
MORE_MODULES = "Ubuntu: install linux-modules-extra-$(uname -r); RHEL: kernel-modules-extra; else another kernel"
OUR_LINKS = ("cni0", "flannel", "veth", "kube-")
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
FAMILIES = {"debian", "ubuntu", "rhel", "fedora"}


def check_facts(inputs: Inputs, known: Known, reports: Mapping[str, Report], formed: bool, errors: Findings) -> None:
    """All hosts that were asked, each by itself and then against each other. `formed`: the cluster exists."""
    digests = _authorities(inputs)
    asked = [(host, reports[host.name]) for host in inputs.hosts if host.name in reports]
    for host, report in asked:
        if report.facts is None:
            what, remedy = (
                _unreachable(report.unreachable, host) if report.unreachable else _failed(report.failure, host)
            )
            errors.add(what, remedy, hosts=[host])
        elif _can_be_asked(host, report.facts, errors):
            if abs(report.clock) > CLOCK_SECONDS:
                way = "ahead of" if report.clock > 0 else "behind"
                what = f"its clock is {abs(report.clock):.0f} s {way} this machine's"
                errors.add(what, "run a time service on both, chrony or systemd-timesyncd", hosts=[host])
            check = _Check(host, report.facts, inputs, known, errors)
            check.system()
            check.resources()
            check.ports()
            check.network()
            check.authorities(digests)
            if host in inputs.members(CONTROL_PLANE, NODE):
                check.node()
    answered = [(host, report.facts) for host, report in asked if report.facts and report.facts.root]
    check_traffic(answered, inputs, known, errors)
    _check_twice(answered, errors)
    _check_virtual_address(inputs, answered, formed, errors)


def _can_be_asked(host: HostInput, facts: Facts, errors: Findings) -> bool:
    version = tuple(int(part) for part in facts.python.split(".")[:2] if part.isdecimal())
    if version < OLDEST_PYTHON:
        what = f"its Python is {facts.python}, and {'.'.join(map(str, OLDEST_PYTHON))} is the oldest that does"
        errors.add(what, "install a newer one beside it and set ansible_python_interpreter", hosts=[host])
    if not facts.root:
        remedy = "set ansible_become: true, and let the user use sudo"
        errors.add(f"commands run there as {facts.user}, not as root", remedy, hosts=[host])
    return facts.root


class _Check:
    """One host that answered as root."""

    def __init__(self, host: HostInput, facts: Facts, inputs: Inputs, known: Known, errors: Findings) -> None:
        self.host, self.facts, self.inputs, self.known, self.errors = host, facts, inputs, known, errors

    def system(self) -> None:
        facts = self.facts
        if not facts.systemd:
            self._add("it was not booted with systemd, which has to run all services", "choose a system that is")
        if facts.machine not in MACHINES:
            self._add(f"its processor architecture is {facts.machine}", "amd64 and arm64 are supported")
        if not FAMILIES & set(facts.family):
            name = facts.distribution or "unknown"
            self._add(f"its distribution is {name}", "Debian, Ubuntu and the RHEL family are supported")
        if not facts.machine_id:
            self._add("its /etc/machine-id is empty", "run systemd-machine-id-setup there")

    def resources(self) -> None:
        # A host that was installed has used some of it, and is repaired all the same.
        if self.facts.components:
            return
        memory, disk = self._number("host_minimum_memory"), self._number("host_minimum_disk")
        if self.facts.memory < memory:
            what = f"it has {self.facts.memory} MiB of memory, less than the {memory} of host_minimum_memory"
            self._add(what, "give it more, or lower that")
        wanted = {"/var": disk}
        if self.facts.disk["/usr/local"]["device"] != self.facts.disk["/var"]["device"]:
            wanted["/usr/local"] = PROGRAMS_DISK
        for directory, least in wanted.items():
            free = self.facts.disk[directory]["free"]
            if free < least:
                limit = f"the {least} of host_minimum_disk" if directory == "/var" else f"{least} for the programs"
                self._add(f"{directory} has {free} MiB of free disk, less than {limit}", "give it more, or clear some")

    def ports(self) -> None:
        groups = {group for group in (ETCD, CONTROL_PLANE) if self.host in self.inputs.members(group)}
        if self.host in self.inputs.members(CONTROL_PLANE, NODE):
            groups.add(NODE)
        wanted = {port: whose for group in groups for port, whose in PORTS[group].items()}
        if self.inputs.cluster("cluster_api_balancer") != LOCAL:
            wanted.pop(BALANCER_PORT, None)
        for taken in self.facts.ports:
            if taken.ours or taken.port not in wanted:
                continue
            whose, local = wanted[taken.port]
            if not local or taken.address in ("0.0.0.0", "::", "127.0.0.1"):  # noqa: S104 compared, not listened on
                by = f"{taken.process}, process {taken.pid}{' of ' + taken.unit if taken.unit else ''}"
                holder = by if taken.pid is not None else "the kernel or another network namespace's process"
                self._add(f"port {taken.port}, which {whose} needs, is taken by {holder}", "stop that service there")

    def network(self) -> None:
        interfaces: dict[str, list[IPv4Interface]] = {item["link"]: [] for item in self.facts.networks}
        for item in self.facts.networks:
            interfaces[item["link"]].append(IPv4Interface(item["address"]))
        address = node_address(self.host)
        own = {str(one.ip): link for link, found in interfaces.items() for one in found if not one.ip.is_loopback}
        if address and address not in own:
            remedy = "set node_address to the one by which the other hosts reach it"
            has = ", ".join(f"{one} on {link}" for one, link in own.items()) or "none"
            self._add(f"its node address {address} is on no interface; it has {has}", remedy)
        for name, cluster in cluster_networks(self.inputs):
            for link, found in interfaces.items():
                if link.startswith(OUR_LINKS):
                    continue
                for one in found:
                    # An address inside the network is said of node addresses already.
                    if one.network.overlaps(cluster) and not (str(one.ip) == address and one.ip in cluster):
                        self._add(
                            f"its network {one.network} on {link} overlaps with {name} {cluster}",
                            f"choose another {name}",
                        )

    def authorities(self, digests: Mapping[str, str]) -> None:
        for path, authority in AUTHORITIES.items():
            there = self.facts.digests.get(path)
            if there and there != digests.get(authority):
                directory = self.inputs.cluster("cluster_pki_directory")
                self._add(
                    f"it belongs to another cluster: its {path} is not this cluster's {authority} authority",
                    f"put the right one into {directory}, or clear the host if that cluster is given up",
                )

    def node(self) -> None:
        facts, kubelet = self.facts, self._value("kubelet_configuration")
        settings = kubelet if isinstance(kubelet, dict) else {}
        if facts.hostname.lower() != self.host.name:
            remedy = f"on the host: hostnamectl set-hostname {self.host.name}, or list it as {facts.hostname}"
            self._add(f"its hostname is {facts.hostname}, and a node's name is its hostname", remedy)
        if facts.swap and settings.get("failSwapOn", True):
            remedy = "swapoff -a and take it out of /etc/fstab, or kubelet_configuration: {failSwapOn: false}"
            self._add(f"swap is on ({', '.join(facts.swap)}), which kubelet refuses", remedy)
        version = int(facts.cgroups.get("version", 1))
        if version == 1 and settings.get("failCgroupV1", True):
            remedy = "boot with systemd.unified_cgroup_hierarchy=1, or kubelet_configuration: {failCgroupV1: false}"
            self._add("it has control groups of version 1, which kubelet refuses", remedy)
        missing = [name for name in CONTROLLERS if name not in facts.cgroups.get("controllers", ())]
        if missing:
            self._add(f"its control groups lack {', '.join(missing)}", f"boot with cgroup_enable={missing[0]}")
        if not {"container-engine", "docker"} & set(facts.components):
            self._engines()
        self._features()

    def _engines(self) -> None:
        """Of a host that has none of ours yet."""
        remedy = "move what runs there to another host and remove its package, or choose another host"
        if self._value("container_engine") != "docker":
            if self.facts.engines:
                what = f"it has a container engine of its own, {', '.join(self.facts.engines)}"
                self._add(f"{what}, which ours would take the place of", remedy)
            return
        # A Docker Engine that nobody uses yet is the one that is asked for, and containerd is a part of it.
        others = [unit for unit in self.facts.engines if unit != "docker.service"]
        if others and ("docker.service" not in self.facts.engines or others != ["containerd.service"]):
            self._add(f"it has another container engine, {', '.join(others)}, beside which Docker can't be put", remedy)
        if self.facts.docker_containers:
            what = (
                f"its Docker Engine has {self.facts.docker_containers} containers of somebody's, and would be restarted"
                " with the settings that Kubernetes asks for"
            )
            self._add(what, "move them to another host, or choose another host")

    def _features(self) -> None:
        nftables = self._value("kube_proxy_mode") != "iptables"
        wanted = {
            "overlay": "containers need",
            "br_netfilter": "services between pods of one host need",
            "nf_conntrack": "services need",
        }
        if self._value("flannel_backend") == "vxlan":
            wanted["vxlan"] = "flannel_backend vxlan needs"
        if nftables:
            wanted["nf_tables"] = "kube_proxy_mode nftables needs"
        remedies = {"vxlan": ", or set flannel_backend: host-gw", "nf_tables": ", or set kube_proxy_mode: iptables"}
        for name, purpose in wanted.items():
            if not self.facts.features.get(name):
                self._add(f"its kernel lacks {name}, which {purpose}", f"{MORE_MODULES}{remedies.get(name, '')}")
        program = "nft" if nftables else "iptables"
        if program not in self.facts.programs and not {"apt-get", "dnf"} & set(self.facts.programs):
            self._add(f"the program {program}, which kube-proxy calls, is missing", "install it")

    def _number(self, name: str) -> int:
        # A wrong type is said of the variable already.
        value = str(self._value(name))
        return int(value) if value.isdecimal() else 0

    def _value(self, name: str) -> Any:
        return self.host.values.get(name, self.known.default(name))

    def _add(self, what: str, remedy: str = "") -> None:
        self.errors.add(what, remedy, hosts=[self.host])


def _check_twice(asked: list[tuple[HostInput, Facts]], errors: Findings) -> None:
    for name, said, remedy in (
        ("hostname", "the same hostname", "give each its own: hostnamectl set-hostname NAME"),
        (
            "machine_id",
            "the same machine-id",
            "on the copies: rm /etc/machine-id && systemd-machine-id-setup, and reboot",
        ),
    ):
        holders: dict[str, list[HostInput]] = defaultdict(list)
        for host, facts in asked:
            if getattr(facts, name):
                holders[getattr(facts, name).lower()].append(host)
        for value, hosts in holders.items():
            if len(hosts) > 1:
                errors.add(f"they have {said}, {value}", remedy, hosts=hosts)


def _check_virtual_address(
    inputs: Inputs, asked: list[tuple[HostInput, Facts]], formed: bool, errors: Findings
) -> None:
    """The address that control planes are to hold in turn: of their network, and nobody's before."""
    address = virtual_address(inputs)
    if address is None:
        return
    ours = any("api-vip" in facts.components for _, facts in asked)
    for host, facts in asked:
        if host not in inputs.members(CONTROL_PLANE):
            continue
        networks = [IPv4Interface(item["address"]) for item in facts.networks]
        own = next((one.network for one in networks if str(one.ip) == node_address(host)), None)
        # A new host of a living cluster finds it where it should be.
        answers = str(address) in facts.answering and ("kube-apiserver" in facts.components or not formed)
        if own is not None and address not in own:
            what = f"the API's address {address} is not of its network {own}, and could not be reached there"
            errors.add(what, f"set cluster_api_server to an unused address of {own}", hosts=[host])
        elif not ours and (answers or address in [one.ip for one in networks]):
            what = f"the API's address {address} is in use already"
            errors.add(what, "set cluster_api_server to an address that is nobody's", hosts=[host])


def _unreachable(message: str, host: HostInput) -> tuple[str, str]:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    user = host.values.get("ansible_user", "the default user")
    if "host key verification failed" in message.lower():
        return (
            "its host key is not known here, or is not the one that is known",
            "compare it and connect once with ssh; for a host that was made anew: ssh-keygen -R ADDRESS before that",
        )
    if "Permission denied" in message:
        return (
            f"it refuses the login as {user}",
            "check ansible_user, ansible_ssh_private_key_file and the keys on the host",
        )
    # Ansible wraps what ssh says into up to three sentences of its own.
    reason = re.sub(r"^.*\bssh: ", "", lines[-1]) if lines else "no reason was given"
    return f"it cannot be reached: {reason}", "check ansible_host, ansible_port, and that the host is up"


def _failed(message: str, host: HostInput) -> tuple[str, str]:
    """Ansible's own words for what hostcall does not see."""
    user = host.values.get("ansible_user", "the user")
    if "Missing sudo password" in message:
        return f"sudo asks {user} for a password", "give it with --ask-become-pass or ansible_become_password"
    if "Incorrect sudo password" in message:
        return f"sudo does not take the password of {user}", "check it, and that sudo lets the user do everything"
    return message, ""


def _authorities(inputs: Inputs) -> dict[str, str]:
    """{authority: sha256 of its certificate}; none before the first run."""
    directory = inputs.cluster("cluster_pki_directory")
    if not isinstance(directory, str):
        return {}
    try:
        pki = PKI(Path(directory))
        texts = {name: pki.read(f"{name}/ca.crt") for name in AUTHORITIES.values() if pki.has(f"{name}/ca.crt")}
    except PKIError:
        return {}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
