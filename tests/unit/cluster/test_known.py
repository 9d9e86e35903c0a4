"""The roles' inputs and the wiring, as the model reads them from the collection's own files."""

from __future__ import annotations

import pytest

from kubeinstall.cluster.facts import PROGRAMS_DISK
from kubeinstall.cluster.known import Known, known_inputs
from kubeinstall.cluster.reports import PORTS, clock_ahead


@pytest.fixture(scope="module")
def known() -> Known:
    return known_inputs()


def test_inputs_have_their_type_and_default(known: Known) -> None:
    assert known.inputs["cluster_pod_network"].type == "str"
    assert known.inputs["cluster_pod_network_node_prefix"].default == 24
    assert known.inputs["kube_proxy_mode"].choices == ("nftables", "iptables")
    assert known.inputs["flannel_backend"].choices == ("vxlan", "host-gw", "wireguard", "udp")
    assert known.inputs["node_taints"].options["effect"].required


def test_what_the_checks_ask_for_exists(known: Known) -> None:
    for name in ("host_minimum_memory", "host_minimum_disk", "kube_proxy_mode", "flannel_backend"):
        assert known.default(name), name
    for name in ("kubelet_configuration", "kubelet_static_manifests", "cluster_manifests", "cluster_certificate_names"):
        assert name in known.inputs
    assert known.default("host_minimum_disk") > PROGRAMS_DISK


def test_every_ports_group_is_one_of_ours() -> None:
    assert list(PORTS) == ["etcd", "control_plane", "node"]


@pytest.mark.parametrize(
    ("derived", "instead"),
    [
        ("kube_proxy_pod_network", ("cluster_pod_network",)),
        ("kubelet_version", ("cluster_kubernetes_version",)),
        ("coredns_address", ("cluster_service_network",)),
        ("flannel_nftables", ("kube_proxy_mode",)),
        ("etcd_address", ("node_address",)),
    ],
)
def test_what_to_set_instead_of_a_derived_input(known: Known, derived: str, instead: tuple[str, ...]) -> None:
    assert known.derived[derived] == instead
    assert derived not in known.inputs


def test_derived_inputs_of_groups(known: Known) -> None:
    assert set(known.derived["etcd_members"]) == {"group etcd", "group control_plane", "node_address"}


def test_every_version_that_can_be_chosen_has_its_list(known: Known) -> None:
    chosen = {name for name in known.inputs if name.endswith("_version")}
    assert chosen == set(known.versions)
    for name, (_, versions) in known.versions.items():
        assert known.default(name) in versions, name


@pytest.mark.parametrize(("there", "ahead"), [(100, 0), (104.5, 0), (110, 0), (141, 31), (69, -31)])
def test_a_slow_answer_is_no_wrong_clock(there: float, ahead: float) -> None:
    assert clock_ahead(100, there, 110) == ahead
