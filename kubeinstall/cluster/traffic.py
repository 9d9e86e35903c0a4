"""Judges what on the hosts keeps traffic from its way: addresses of NAT, firewalld, SELinux, the resolver."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, ip_address, ip_network

from kubeinstall.cluster.balancer import LOCAL
from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.reports import Facts

__all__ = ["check_traffic"]

RESOLV_CONF = "/etc/resolv.conf"


def check_traffic(asked: Sequence[tuple[HostInput, Facts]], inputs: Inputs, known: Known, errors: Findings) -> None:
    """The hosts that answered as root."""
    nodes = inputs.members(CONTROL_PLANE, NODE)
    for host, facts in asked:
        _check_address(host, asked, errors)
        if facts.firewalld is not None:
            _check_firewalld(host, facts.firewalld, inputs, errors)
        if host not in nodes:
            continue
        if inputs.cluster("cluster_api_balancer") == LOCAL and "haproxy_connect_any" in facts.selinux_off:
            what = "its SELinux keeps haproxy, its way to the API, from connecting there"
            errors.add(what, "setsebool -P haproxy_connect_any 1", hosts=[host])
        inner = [address for address in facts.resolvers if _loopback(address)]
        if inner and host.values.get("kubelet_resolv_conf", known.default("kubelet_resolv_conf")) == RESOLV_CONF:
            what = f"its {RESOLV_CONF} names {', '.join(inner)}, where pods find no resolver"
            remedy = "set kubelet_resolv_conf; with systemd-resolved: /run/systemd/resolve/resolv.conf"
            errors.add(what, remedy, hosts=[host])


def _check_address(host: HostInput, asked: Sequence[tuple[HostInput, Facts]], errors: Findings) -> None:
    """What another host has too is no way from there; that two are to have the same was said without asking them."""
    address = node_address(host)
    for other, facts in asked:
        links = [item["link"] for item in facts.networks if item["address"].partition("/")[0] == address]
        if links and other is not host and node_address(other) != address:
            what = f"its node address {address} is that of {other.name}'s {links[0]} too, so that one cannot reach it"
            remedy = "NAT gives every machine the same: set node_address to its address in a network that they share"
            errors.add(what, remedy, hosts=[host])
            return


def _check_firewalld(host: HostInput, trusted: Sequence[str], inputs: Inputs, errors: Findings) -> None:
    sources = [found for source in trusted if (found := _network(source))]
    wanted = [found for one in inputs.hosts if (found := _network(node_address(one)))]
    if host in inputs.members(CONTROL_PLANE, NODE) and (pods := _network(inputs.cluster("cluster_pod_network"))):
        wanted.insert(0, pods)
    closed = [one for one in wanted if not any(one.subnet_of(source) for source in sources)]
    if closed:
        add = " ".join(f"--add-source={str(one).removesuffix('/32')}" for one in closed)
        trust = f"firewall-cmd --permanent --zone=trusted {add} && firewall-cmd --reload"
        what = "its firewalld keeps out what the cluster's hosts and pods send"
        errors.add(what, f"{trust}; or systemctl disable --now firewalld", hosts=[host])


def _network(text: object) -> IPv4Network | None:
    # firewalld's sources may also be hardware addresses and sets.
    try:
        found = ip_network(str(text), strict=False)
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None


def _loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
