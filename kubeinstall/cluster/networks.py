"""Judges the cluster's networks, names and its address."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, ip_address
from urllib.parse import urlsplit

from kubeinstall.cluster.hosts import DOMAIN, node_address
from kubeinstall.cluster.inputs import CONTROL_PLANE, NODE, Findings, Inputs

__all__ = ["ADDITIONAL", "additional_service_networks", "check_networks", "cluster_networks", "network"]

# The API's is the first address of the service network, the DNS's the tenth.
SMALLEST_SERVICE_NETWORK = 28
# kube-controller-manager refuses to cut a network into more than 2^16 shares.
MOST_BITS = 16
ADDITIONAL = "cluster_additional_service_networks"
# kubelet's own limit of pods on a node.
PODS_PER_NODE = 110


def network(value: object) -> IPv4Network | None:
    """An IPv4 network in CIDR form, None where the text is none."""
    try:
        return IPv4Network(str(value)) if "/" in str(value) else None
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def additional_service_networks(inputs: Inputs) -> list[IPv4Network]:
    """Those of the inventory that are networks."""
    values = inputs.cluster(ADDITIONAL)
    return [found for value in values if (found := network(value))] if isinstance(values, list) else []


def cluster_networks(inputs: Inputs) -> list[tuple[str, IPv4Network]]:
    """Every pod and service network in the inventory, with the variable that it stands in."""
    named = [(name, network(inputs.cluster(name))) for name in ("cluster_pod_network", "cluster_service_network")]
    named += [(ADDITIONAL, found) for found in additional_service_networks(inputs)]
    return [(name, found) for name, found in named if found]


def check_networks(inputs: Inputs, errors: Findings, warnings: Findings) -> None:
    """Sizes against the number of hosts, overlaps, and the names under which the cluster is reached."""
    pods = _network("cluster_pod_network", inputs, errors)
    services = _network("cluster_service_network", inputs, errors)
    if pods and services and pods.overlaps(services):
        name = "cluster_service_network"
        if not any(name in host.values for host in inputs.hosts):
            name = "cluster_pod_network"
        what = f"the pod network {pods} and the service network {services} overlap"
        _add(errors, inputs, name, what, "move one of them")
    _check_additional(inputs, errors)
    for host in inputs.hosts:
        try:
            address = IPv4Address(node_address(host))
        except ValueError:
            continue
        for name, found in cluster_networks(inputs):
            what = "pod" if name == "cluster_pod_network" else "service"
            if address in found:
                remedy = f"choose another {name}: hosts and {what}s cannot share addresses"
                errors.add(f"its address {address} lies in the {what} network {found}", remedy, hosts=[host])
    if pods:
        _check_pod_network(pods, inputs, errors, warnings)
    if services and services.prefixlen > SMALLEST_SERVICE_NETWORK:
        what = f"{services} is too small: the API has its first address and the DNS its tenth"
        _add(errors, inputs, "cluster_service_network", what, f"make it /{SMALLEST_SERVICE_NETWORK} or larger")
    _check_names(inputs, errors)


def _check_additional(inputs: Inputs, errors: Findings) -> None:
    """Two networks that overlap would give an address to two Services."""
    values = inputs.cluster(ADDITIONAL)
    for value in values if isinstance(values, list) else ():
        if network(value) is None:
            what = f"{ADDITIONAL} has {str(value)!r}, which is not an IPv4 network in CIDR form"
            _add(errors, inputs, ADDITIONAL, what, "write it as 10.97.0.0/16")
    named = cluster_networks(inputs)
    for position, (name, found) in enumerate(named):
        for other, before in named[:position]:
            if name == ADDITIONAL and found.overlaps(before):
                where = "" if other == ADDITIONAL else f", {other}"
                _add(errors, inputs, ADDITIONAL, f"{found} of {ADDITIONAL} overlaps with {before}{where}")


def _network(name: str, inputs: Inputs, errors: Findings) -> IPv4Network | None:
    value = inputs.cluster(name)
    found = network(value)
    if isinstance(value, str) and found is None:
        try:
            whole = str(IPv4Network(value, strict=False))
        except ValueError:
            whole = ""
        if ":" in value:
            what, remedy = f"{name} is {value}: IPv6 is not supported yet", "choose an IPv4 network"
        elif "/" in value and whole:
            what, remedy = f"{name} is {value}, an address inside a network", f"the network is {whole}"
        else:
            what, remedy = f"{name} is {value!r}, which is no network", "write it as 10.244.0.0/16"
        _add(errors, inputs, name, what, remedy)
    return found


def _check_pod_network(pods: IPv4Network, inputs: Inputs, errors: Findings, warnings: Findings) -> None:
    name = "cluster_pod_network_node_prefix"
    try:
        prefix = int(inputs.cluster(name))
    except (TypeError, ValueError):
        return
    if not pods.prefixlen <= prefix <= 30:
        what = f"{name} is /{prefix}, which is no share of the pod network {pods}"
        _add(errors, inputs, name, what, f"choose one from {pods.prefixlen} to 30")
        return
    shares, nodes = 2 ** (prefix - pods.prefixlen), len(inputs.members(CONTROL_PLANE, NODE))
    if prefix - pods.prefixlen > MOST_BITS:
        what = f"{pods} would be cut into {shares} shares of /{prefix}; Kubernetes takes {2**MOST_BITS} at most"
        _add(errors, inputs, name, what, f"choose at most {pods.prefixlen + MOST_BITS}")
    elif shares < nodes:
        what = f"{pods} is too small for {nodes} nodes: it holds {shares} shares of /{prefix}"
        remedy = f"make it /{prefix - (nodes - 1).bit_length()} or larger, or {name} larger than {prefix}"
        _add(errors, inputs, "cluster_pod_network", what, remedy)
    # Without its own, broadcast and bridge addresses.
    if (room := 2 ** (32 - prefix) - 3) < PODS_PER_NODE:
        what = f"a node's share of /{prefix} has {room} addresses for pods, kubelet takes up to {PODS_PER_NODE}"
        _add(warnings, inputs, name, what, "set maxPods in kubelet_configuration, or a smaller prefix")


def _check_names(inputs: Inputs, errors: Findings) -> None:
    for name in ("cluster_domain", "cluster_name"):
        value = inputs.cluster(name)
        if isinstance(value, str) and not DOMAIN.fullmatch(value):
            _add(errors, inputs, name, f"{name} is {value!r}, which is no DNS name", "small letters, digits, - and .")
    names = inputs.cluster("cluster_certificate_names")
    for value in names if isinstance(names, list) else ():
        if isinstance(value, str) and not (DOMAIN.fullmatch(value) or _is_address(value)):
            what = f"cluster_certificate_names holds {value!r}, which is neither a DNS name nor an IP address"
            _add(errors, inputs, "cluster_certificate_names", what)
    directory = inputs.cluster("cluster_pki_directory")
    if isinstance(directory, str) and "{{" not in directory and not directory.startswith("/"):
        what = f"cluster_pki_directory is {directory!r}, which depends on where a command is started"
        _add(errors, inputs, "cluster_pki_directory", what, "begin it with / or with {{ inventory_dir }}/")
    url = inputs.cluster("cluster_api_server")
    if isinstance(url, str) and "{{" not in url and not _is_api_server(url):
        what = f"cluster_api_server is {url!r}, which is no address of an API"
        _add(errors, inputs, "cluster_api_server", what, "write it as https://NAME:6443")


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _is_api_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username)
    return parts.scheme == "https" and not any(rest) and bool(DOMAIN.fullmatch(host) or _is_address(host))


def _add(findings: Findings, inputs: Inputs, name: str, what: str, remedy: str = "") -> None:
    """At the place where the variable is set; a default has none."""
    findings.add(what, remedy, hosts=[host for host in inputs.hosts if name in host.values], name=name)
