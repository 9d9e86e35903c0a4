"""Judges what on the hosts keeps traffic from its way: addresses of NAT, firewalld, SELinux, the resolver."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, collapse_addresses, ip_address, ip_network

from kubeinstall.cluster.balancer import LOCAL
from kubeinstall.cluster.hosts import node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, HostInput, Inputs
from kubeinstall.cluster.known import Known
from kubeinstall.cluster.reports import Facts

__all__ = ["check_traffic"]

RESOLV_CONF = "/etc/resolv.conf"


def check_traffic(asked: Sequence[tuple[HostInput, Facts]], inputs: Inputs, known: Known, errors: Findings) -> None:
    """The hosts that answered as root."""
    nodes, links = {one.name for one in inputs.members(CONTROL_PLANE, NODE)}, _links(asked)
    hosts = [found for one in inputs.hosts if (found := _network(node_address(one)))]
    pods = _network(inputs.cluster("cluster_pod_network"))
    for host, facts in asked:
        _check_address(host, links, errors)
        if facts.firewalld is not None:
            _check_firewalld(host, facts.firewalld, [pods, *hosts] if pods and host.name in nodes else hosts, errors)
        if host.name not in nodes:
            continue
        if inputs.cluster("cluster_api_balancer") == LOCAL and "haproxy_connect_any" in facts.selinux_off:
            what = "its SELinux keeps haproxy, its way to the API, from connecting there"
            errors.add(what, "setsebool -P haproxy_connect_any 1", hosts=[host])
        inner = [address for address in facts.resolvers if _loopback(address)]
        if inner and host.values.get("kubelet_resolv_conf", known.default("kubelet_resolv_conf")) == RESOLV_CONF:
            what = f"its {RESOLV_CONF} names {', '.join(inner)}, where pods find no resolver"
            remedy = "set kubelet_resolv_conf; with systemd-resolved: /run/systemd/resolve/resolv.conf"
            errors.add(what, remedy, hosts=[host])


def _check_address(host: HostInput, links: Mapping[str, Sequence[tuple[HostInput, str]]], errors: Findings) -> None:
    """What another host has too is no way from there; that two are to have the same was said without asking them."""
    address = node_address(host)
    for other, link in links.get(address, ()):
        if other is not host and node_address(other) != address:
            what = f"its node address {address} is that of {other.name}'s {link} too, so that one cannot reach it"
            remedy = "NAT gives every machine the same: set node_address to its address in a network that they share"
            errors.add(what, remedy, hosts=[host])
            return


def _links(asked: Sequence[tuple[HostInput, Facts]]) -> dict[str, list[tuple[HostInput, str]]]:
    """{address: [(host that has it, on which link)]}."""
    found: dict[str, list[tuple[HostInput, str]]] = defaultdict(list)
    for host, facts in asked:
        for item in facts.networks:
            found[item["address"].partition("/")[0]].append((host, item["link"]))
    return found


def _check_firewalld(host: HostInput, trusted: Sequence[str], wanted: Sequence[IPv4Network], errors: Findings) -> None:
    closed = _outside(wanted, filter(None, map(_network, trusted)))
    if closed:
        add = " ".join(f"--add-source={str(one).removesuffix('/32')}" for one in closed)
        trust = f"firewall-cmd --permanent --zone=trusted {add} && firewall-cmd --reload"
        what = "its firewalld keeps out what the cluster's hosts and pods send"
        errors.add(what, f"{trust}; or systemctl disable --now firewalld", hosts=[host])


def _outside(wanted: Iterable[IPv4Network], sources: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Those that the sources do not cover. Merged ones are in order and disjoint: a search finds the only candidate."""
    merged = list(collapse_addresses(sources))
    firsts = [int(one.network_address) for one in merged]
    lasts = [int(one.broadcast_address) for one in merged]

    def covered(one: IPv4Network) -> bool:
        place = bisect_right(firsts, int(one.network_address)) - 1
        return place >= 0 and int(one.broadcast_address) <= lasts[place]

    return [one for one in wanted if not covered(one)]


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
