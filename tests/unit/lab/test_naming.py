from __future__ import annotations

import ipaddress

import pytest

from kubeinstall.errors import InputError, LabError
from kubeinstall.lab.naming import check_name, check_size, choose_subnet, etcd_members, plan


@pytest.mark.parametrize("name", ["lab", "a", "dev-2", "a" * 40])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "Lab", "2nd", "-lab", "lab-", "my_lab", "lab.one", "a" * 41, "../lab", "lab\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InputError, match="is no name for a lab"):
        check_name(name)


def test_bad_sizes_come_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        check_size(0, 151, 20)
    assert [problem.where for problem in caught.value.problems] == ["--control-planes", "--etcd-members", "--nodes"]
    assert "needs at least one" in str(caught.value)
    assert "at most 150" in str(caught.value)


@pytest.mark.parametrize(("control_planes", "nodes"), [(1, 0), (1, 2), (70, 150)])
def test_good_sizes(control_planes: int, nodes: int) -> None:
    check_size(control_planes, nodes)


def test_negative_nodes() -> None:
    with pytest.raises(InputError, match="-1 is no number of hosts"):
        check_size(1, -1)
    with pytest.raises(InputError, match="etcd-members: -1 is no number of hosts"):
        check_size(1, 0, -1)


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.79.0.0/24"),
        (["0.0.0.0/0", "172.17.0.0/16"], "10.79.0.0/24"),
        (["10.79.0.0/24"], "10.79.1.0/24"),
        (["10.79.0.0/23", "10.79.2.77/32"], "10.79.3.0/24"),
        (["10.79.1.0/24"], "10.79.0.0/24"),
    ],
)
def test_subnet_keeps_clear_of_what_is_taken(taken: list[str], chosen: str) -> None:
    assert str(choose_subnet(taken)) == chosen


def test_no_subnet_left() -> None:
    with pytest.raises(LabError, match=r"no subnet of 10.79.0.0/16 is free"):
        choose_subnet(["10.0.0.0/8"])


def test_plan_names_and_addresses_do_not_depend_on_the_size() -> None:
    subnet = ipaddress.IPv4Network("10.79.4.0/24")
    small, large = plan("ha", 1, 1, subnet, 1), plan("ha", 70, 150, subnet, 19)
    assert [(host.name, host.role, host.address) for host in small] == [
        ("ha-cp1", "control_plane", "10.79.4.11"),
        ("ha-etcd1", "etcd", "10.79.4.81"),
        ("ha-node1", "node", "10.79.4.101"),
    ]
    assert set(small) <= set(large)
    assert len({host.address for host in large}) == 239
    assert all(ipaddress.ip_address(host.address) in subnet for host in large)
    assert large[-1].address == "10.79.4.250"


@pytest.mark.parametrize(("count", "members"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 5)])
def test_etcd_members_are_odd(count: int, members: int) -> None:
    names = [f"lab-cp{number}" for number in range(1, count + 1)]
    assert etcd_members(names) == names[:members]


def test_etcd_on_hosts_of_its_own() -> None:
    assert etcd_members(["lab-cp1"], ["lab-etcd1", "lab-etcd2"]) == ["lab-etcd1", "lab-etcd2"]
