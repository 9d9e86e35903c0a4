"""Judges the hosts: who is in which group, their names and addresses, their labels and taints."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, GROUPS, NODE, Findings, HostInput, Inputs

__all__ = ["CONTROL_PLANE_TAINT", "check_hosts", "node_address", "taints"]

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# "system:node:NAME" stands in a certificate's subject, where X.509 allows 64 characters.
LONGEST_NAME = 64 - len("system:node:")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# A name so near to a group of ours is a slip: nodes, nod.
NEARLY = 0.85
VIRTUALBOX_NAT = ipaddress.ip_network("10.0.2.0/24")
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
OTHER_WORDS = {
    CONTROL_PLANE: (
        "controlplane",
        "control-plane",
        "controller",
        "kube_control_plane",
        "master",
        "masters",
        "kube_master",
    ),
    NODE: ("agent", "kube_node", "minion", "minions", "nodes", "worker", "workers"),
    ETCD: ("etcds",),
}


def check_hosts(inputs: Inputs, formed: bool, errors: Findings, warnings: Findings) -> None:
    """`formed`: the cluster exists, so that an even number of etcd members may be a step on the way."""
    _check_groups(inputs, errors, warnings)
    _check_members(inputs, formed, errors, warnings)
    for host in inputs.hosts:
        _check_name(host, errors)
        _check_address(host, errors)
        for what, remedy in _wrong_labels(host.values.get("node_labels")):
            errors.add(what, remedy, hosts=[host], name="node_labels")
        for what, remedy in _wrong_taints(host.values.get("node_taints")):
            errors.add(what, remedy, hosts=[host], name="node_taints")
    _check_once(inputs, errors)


def node_address(host: HostInput) -> str:
    """node_address, or ansible_host where that is an address; empty when there is neither."""
    address = host.values.get("node_address")
    if address is not None:
        return str(address)
    reached = str(host.values.get("ansible_host", ""))
    return reached if _ip(reached) else ""


def taints(host: HostInput, inputs: Inputs) -> list[dict[str, Any]]:
    """What the user says, else that of a control plane."""
    said = host.values.get("node_taints")
    if isinstance(said, list):
        return said
    return [CONTROL_PLANE_TAINT] if host.name in inputs.groups.get(CONTROL_PLANE, ()) else []


def _check_groups(inputs: Inputs, errors: Findings, warnings: Findings) -> None:
    for group in (ETCD, CONTROL_PLANE):
        if not inputs.groups.get(group):
            near = _meant(group, inputs)
            remedy = (
                f"rename the group {near} to {group}" if near else f"name at least one host under `{group}: hosts:`"
            )
            errors.add(f"no host in the group {group}", remedy)
    _check_left_out(inputs, errors)
    both = set(inputs.groups.get(CONTROL_PLANE, ())) & set(inputs.groups.get(NODE, ()))
    for host in inputs.members(CONTROL_PLANE):
        if host.name in both and "node_taints" not in host.values:
            warnings.add(
                "it is in the group node too, which adds nothing: a control plane is a node already, with a taint",
                "for pods to run on it: node_taints: []",
                hosts=[host],
            )


def _check_left_out(inputs: Inputs, errors: Findings) -> None:
    """Errors for groups whose names are another word for one of ours, or nearly one, and whose hosts are in none."""
    ours = {host.name for host in inputs.hosts}
    for name, members in inputs.groups.items():
        left = [member for member in members if member not in ours]
        if not left or name in (*GROUPS, "all", "ungrouped"):
            continue
        near = difflib.get_close_matches(name, GROUPS, n=1, cutoff=NEARLY)
        another_word = name.lower() in OTHER_WORDS[NODE] and not inputs.groups.get(NODE)
        meant = near[0] if near else NODE if another_word else ""
        # Without a host in one of the others, that is said of them.
        if meant and (meant == NODE or inputs.groups.get(meant)):
            more = f" and {len(left) - 4} more" if len(left) > 4 else ""
            what = f"the group {name} has no effect: {', '.join(left[:4])}{more} would be left out"
            verb = "list them in the group" if inputs.groups.get(meant) else "rename it to"
            errors.add(what, f"{verb} {meant}")


def _meant(group: str, inputs: Inputs) -> str:
    others = [name for name, members in inputs.groups.items() if members and name not in (*GROUPS, "all", "ungrouped")]
    for name in others:
        if name.lower() in OTHER_WORDS[group]:
            return name
    return next(iter(difflib.get_close_matches(group, others, n=1, cutoff=0.75)), "")


def _check_members(inputs: Inputs, formed: bool, errors: Findings, warnings: Findings) -> None:
    count = len(inputs.groups.get(ETCD, ()))
    if count and count % 2 == 0:
        what = f"the group etcd has {count} members, which survive no more failures than {count - 1} do"
        if formed:
            warnings.add(what, "add or remove one")
        else:
            errors.add(what, f"make it {count - 1} or {count + 1}")


def _check_name(host: HostInput, errors: Findings) -> None:
    if not DOMAIN.fullmatch(host.name):
        lower = host.name.lower().replace("_", "-")
        remedy = (
            f"call it {lower}, also as its hostname" if DOMAIN.fullmatch(lower) else "its hostname is its name here"
        )
        errors.add(
            "this is no name for a node: small letters, digits, - and . between them, at most 63 between two dots",
            remedy,
            hosts=[host],
        )
    elif len(host.name) > LONGEST_NAME:
        errors.add(
            f"the name has {len(host.name)} characters; {LONGEST_NAME} is the most that a node's certificate can say",
            "choose a shorter hostname",
            hosts=[host],
        )


def _check_address(host: HostInput, errors: Findings) -> None:
    name = "node_address" if "node_address" in host.values else "ansible_host"
    text = node_address(host)
    if not text:
        if "node_address" in host.failures:
            return
        reached = host.values.get("ansible_host", "")
        why = f"ansible_host is {reached!r}, not an address" if reached else "neither it nor ansible_host is set"
        remedy = "set node_address to the IPv4 address by which the other hosts reach it"
        errors.add(f"it has no node_address: {why}", remedy, hosts=[host], name="ansible_host")
        return
    address = _ip(text)
    if address is None:
        errors.add(f"{name} is {text!r}, which is not an IPv4 address", hosts=[host], name=name)
    elif address.version == 6:
        errors.add(f"{name} is {text}: IPv6 is not supported yet", "set an IPv4 node_address", hosts=[host], name=name)
    elif address.is_loopback or address.is_unspecified or address.is_multicast:
        remedy = "set node_address to the IPv4 address by which the other hosts reach it"
        errors.add(f"{name} is {text}, where no other host can reach it", remedy, hosts=[host], name=name)


def _check_once(inputs: Inputs, errors: Findings) -> None:
    addresses: dict[str, list[HostInput]] = defaultdict(list)
    reached: dict[tuple[str, ...], list[HostInput]] = defaultdict(list)
    for host in inputs.hosts:
        if _ip(node_address(host)):
            addresses[node_address(host)].append(host)
        # Behind another jump host the same address is another machine.
        way = [str(host.values.get(f"ansible_{name}", "")) for name in ("connection", "ssh_common_args")]
        machine = (str(host.values.get("ansible_host", host.name)), str(host.values.get("ansible_port", 22)))
        reached[(*machine, *way)].append(host)
    for address, hosts in addresses.items():
        if len(hosts) > 1:
            what, remedy = f"they have the same node address, {address}", "each host needs one of its own"
            if _ip(address) in VIRTUALBOX_NAT:
                what += ", which VirtualBox's NAT gives to every machine"
                remedy = "set node_address to each one's address in a private network that they share"
            errors.add(what, remedy, hosts=hosts)
    said = {frozenset(host.name for host in hosts) for hosts in addresses.values()}
    for (place, port, *_), hosts in reached.items():
        if len(hosts) > 1 and frozenset(host.name for host in hosts) not in said:
            errors.add(f"they are one machine: all are reached at {place}, port {port}", "list it once", hosts=hosts)


def _wrong_labels(labels: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(labels, dict):
        return
    for key, value in labels.items():
        if what := _wrong_key(key):
            yield f"node_labels: {key!r} is not a key: {what}", ""
        if not isinstance(value, str):
            quoted = str(value).lower() if isinstance(value, bool) else value
            yield f"node_labels: {key} is {value!r}, and labels are texts", f'put it in quotes: "{quoted}"'
        elif value and not QUALIFIED.fullmatch(value):
            yield (
                f"node_labels: {key} is {value!r}; a value has at most 63 letters, digits, - _ .",
                "",
            )


def _wrong_taints(said: Any) -> Iterator[tuple[str, str]]:
    seen = set()
    for taint in said if isinstance(said, list) else ():
        if not isinstance(taint, dict) or not taint.get("key") or taint.get("effect") not in EFFECTS:
            continue  # judged by its type
        key, value, effect = taint["key"], taint.get("value", ""), taint["effect"]
        if what := _wrong_key(key):
            yield f"node_taints: {key!r} is not a key: {what}", ""
        if value and not (isinstance(value, str) and QUALIFIED.fullmatch(value)):
            yield f"node_taints: the value of {key} is {value!r}; it has at most 63 letters, digits, - _ .", ""
        if (key, effect) in seen:
            yield f"node_taints: {key}:{effect} is there twice", "one taint has one value"
        seen.add((key, effect))


def _wrong_key(key: Any) -> str:
    prefix, slash, name = str(key).rpartition("/")
    if not QUALIFIED.fullmatch(name):
        return "it has at most 63 letters, digits, - _ . and begins and ends with a letter or digit"
    if slash and not DOMAIN.fullmatch(prefix):
        return f"before its / stands a DNS name, which {prefix!r} is not"
    return ""


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
