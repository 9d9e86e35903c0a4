from __future__ import annotations

import ipaddress
import stat
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from kubeinstall.components import Pins
from kubeinstall.errors import InputError
from kubeinstall.lab import inventory
from kubeinstall.lab.inventory import LabFacts, hosts_text, policy_text
from kubeinstall.lab.naming import HostPlan, plan

ORDINARY = LabFacts(cgroup_version=2, restricted=False, swap=False)
RESTRICTED = LabFacts(cgroup_version=1, restricted=True, swap=False)


def hosts(control_planes: int = 2, nodes: int = 1) -> list[HostPlan]:
    return plan("lab", control_planes, nodes, ipaddress.IPv4Network("10.79.0.0/24"))


def test_hosts_file() -> None:
    everything = yaml.safe_load(hosts_text("lab", hosts()))["all"]
    assert everything["hosts"]["lab-node1"] == {"ansible_host": "10.79.0.101", "node_address": "10.79.0.101"}
    groups = {name: list(group["hosts"] or {}) for name, group in everything["children"].items()}
    assert groups == {"control_plane": ["lab-cp1", "lab-cp2"], "node": ["lab-node1"], "etcd": ["lab-cp1"]}
    assert everything["vars"]["ansible_user"] == "root"
    assert everything["vars"]["ansible_ssh_private_key_file"] == "{{ inventory_dir }}/.kubeinstall/ssh/id_ed25519"
    assert everything["vars"]["ansible_ssh_common_args"] == (
        "-o 'UserKnownHostsFile=\"{{ inventory_dir }}/.kubeinstall/ssh/known_hosts\"' "
        "-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
    )


def test_hosts_file_with_hosts_of_etcds_own() -> None:
    text = hosts_text("lab", plan("lab", 3, 1, ipaddress.IPv4Network("10.79.0.0/24"), etcd_hosts=1))
    groups = yaml.safe_load(text)["all"]["children"]
    assert list(groups["control_plane"]["hosts"]) == ["lab-cp1", "lab-cp2", "lab-cp3"]
    assert list(groups["etcd"]["hosts"]) == ["lab-etcd1"]
    assert list(groups["node"]["hosts"]) == ["lab-node1"]


def test_hosts_file_without_nodes() -> None:
    groups = yaml.safe_load(hosts_text("lab", hosts(1, 0)))["all"]["children"]
    assert groups["node"] == {"hosts": {}}


def test_policy_of_the_restricted_way() -> None:
    policy = yaml.safe_load(policy_text(RESTRICTED))
    assert policy["container_engine_restrict_oom_score_adj"] is True
    assert policy["container_engine_systemd_cgroup"] is False
    assert policy["host_kernel_modules"] == []
    assert policy["kubelet_configuration"]["failCgroupV1"] is False
    assert policy["kubelet_configuration"]["cgroupDriver"] == "cgroupfs"
    assert policy["kubelet_configuration"]["featureGates"] == {"KubeletInUserNamespace": True}
    assert policy["kube_proxy_configuration"] == {"conntrack": {"maxPerCore": 0, "min": 0}}
    assert policy["coredns_forwarders"] == []


def test_policy_of_an_ordinary_machine_is_smaller() -> None:
    policy = yaml.safe_load(policy_text(ORDINARY))
    assert not {"container_engine_restrict_oom_score_adj", "container_engine_systemd_cgroup"} & set(policy)
    assert set(policy["kubelet_configuration"]) == {"imageGCHighThresholdPercent", "evictionHard"}


def test_policy_names_swap_and_resolvers_where_there_are_any() -> None:
    policy = yaml.safe_load(policy_text(LabFacts(2, False, True, ("192.0.2.53",))))
    assert policy["kubelet_configuration"]["failSwapOn"] is False
    assert policy["coredns_forwarders"] == ["192.0.2.53"]


def test_every_setting_says_why() -> None:
    lines = policy_text(RESTRICTED).splitlines()
    for above, line in pairwise(lines):
        if line and above == "" and not line.startswith("#"):
            # Only the dictionary whose keys are explained inside begins a paragraph without a reason.
            assert line == "kubelet_configuration:"


def test_write_and_remove(tmp_path: Path) -> None:
    folder = tmp_path / "inventory" / "lab"
    inventory.write(folder, "lab", hosts(), RESTRICTED)
    inventory.ssh_state(folder).public_key()
    assert stat.S_IMODE((folder / ".kubeinstall").stat().st_mode) == 0o700
    assert (folder / ".kubeinstall" / ".gitignore").read_text() == "*\n"
    inventory.write(folder, "lab", hosts(3, 0), ORDINARY)
    assert "lab-cp3" in (folder / "hosts.yml").read_text()
    Pins(folder).add({("etcd", "3.6.14", "amd64", "etcd"): "0" * 64})
    assert inventory.remove(folder, "lab")
    assert not folder.exists()
    assert not inventory.remove(folder, "lab")


def test_the_users_files_stay(tmp_path: Path) -> None:
    inventory.write(tmp_path / "lab", "lab", hosts(), ORDINARY)
    mine = tmp_path / "lab" / "group_vars" / "all" / "mine.yml"
    mine.write_text("kube_proxy_mode: iptables\n")
    assert inventory.remove(tmp_path / "lab", "lab")
    assert [path for path in (tmp_path / "lab").rglob("*") if path.is_file()] == [mine]
    inventory.write(tmp_path / "lab", "lab", hosts(), ORDINARY)
    assert mine.exists()


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    with pytest.raises(InputError, match="is an inventory that the lab 'lab' did not write"):
        inventory.write(tmp_path, "lab", hosts(), ORDINARY)
    assert not inventory.remove(tmp_path, "lab")
    assert (tmp_path / "hosts.yml").read_text() == "all: {}\n"


def test_the_folder_of_another_lab(tmp_path: Path) -> None:
    inventory.write(tmp_path, "one", hosts(), ORDINARY)
    with pytest.raises(InputError, match="did not write"):
        inventory.check_folder(tmp_path, "two")
    assert not inventory.remove(tmp_path, "two")
