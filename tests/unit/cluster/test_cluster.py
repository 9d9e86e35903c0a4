"""The model of inventories that load: what it says, and where it has it from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic import ValidationError

from kubeinstall.cluster import Cluster, Taint
from kubeinstall.errors import InputError
from kubeinstall.paths import collection_root
from kubeinstall.pki import PKI

EXAMPLE = collection_root() / "inventory" / "example"


@pytest.fixture(scope="module")
def example() -> Cluster:
    return Cluster.load(EXAMPLE)


def test_the_example_is_a_cluster_without_a_flaw(example: Cluster) -> None:
    assert example.warnings == ()
    assert [host.name for host in example.control_plane] == ["control-1", "control-2", "control-3"]
    assert example.etcd == example.control_plane
    assert [host.name for host in example.nodes] == ["control-1", "control-2", "control-3", "node-1", "node-2"]
    assert example.name == "example"
    assert example.pod_network == IPv4Network("10.244.0.0/16")
    assert example.api_server == "https://192.0.2.11:6443"
    assert example.inventory == EXAMPLE
    assert example.state_directory == EXAMPLE / ".kubeinstall"
    assert example.pki_directory == EXAMPLE / ".kubeinstall" / "pki"


def test_hosts(example: Cluster) -> None:
    control, node = example.hosts[0], example.hosts[3]
    assert (control.address, control.groups) == ("192.0.2.11", ("etcd", "control_plane"))
    assert control.taints == (Taint(key="node-role.kubernetes.io/control-plane", effect="NoSchedule"),)
    assert (node.name, node.groups, node.taints) == ("node-1", ("node",), ())
    assert node.labels == {"topology.kubernetes.io/zone": "east"}
    assert node.variables["ansible_user"] == "root"


def test_the_model_is_frozen(example: Cluster) -> None:
    with pytest.raises(ValidationError):
        example.name = "other"
    with pytest.raises(ValidationError):
        example.hosts[0].address = "192.0.2.1"


def test_a_file_is_an_inventory_too(example: Cluster) -> None:
    assert Cluster.load(str(EXAMPLE / "hosts.yml")) == example


def test_ini_and_programs_are_inventories(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text(
        "[etcd]\na ansible_host=192.0.2.1\n[control_plane]\na\n[node]\nb node_address=192.0.2.2\n"
    )
    cluster = Cluster.load(tmp_path / "hosts.ini")
    assert [(host.name, host.address) for host in cluster.nodes] == [("a", "192.0.2.1"), ("b", "192.0.2.2")]
    program = tmp_path / "hosts.py"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json\n"
        'hosts = {"a": {"node_address": "192.0.2.1"}}\n'
        'print(json.dumps({"etcd": ["a"], "control_plane": ["a"], "_meta": {"hostvars": hosts}}))\n'
    )
    program.chmod(0o755)
    assert Cluster.load(program).api_server == "https://192.0.2.1:6443"


def test_encrypted_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password comes from where ansible.cfg or the environment says; a process of its own reads that anew."""
    (tmp_path / "hosts.yml").write_text(
        "etcd: {hosts: {a: }}\ncontrol_plane: {hosts: {a: {node_address: 192.0.2.1}}}\n"
    )
    (tmp_path / "group_vars").mkdir()
    secret = tmp_path / "group_vars" / "all.yml"
    secret.write_text("cluster_name: hidden\n")
    (tmp_path / ".password").write_text("pass\n")
    encrypt = "from ansible.cli.vault import main; import sys; sys.argv[0] = 'ansible-vault'; main()"
    subprocess.run(
        [sys.executable, "-c", encrypt, "encrypt", "--vault-password-file", str(tmp_path / ".password"), str(secret)],
        check=True,
        capture_output=True,
    )
    assert secret.read_text().startswith("$ANSIBLE_VAULT")
    with pytest.raises(InputError) as locked:
        Cluster.load(tmp_path)
    assert "all.yml: encrypted by ansible-vault, and there is no vault password" in str(locked.value.problems[0])
    load = f"from kubeinstall.cluster import Cluster; print(Cluster.load({str(tmp_path)!r}).name)"
    environment = {**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / ".password")}
    done = subprocess.run(
        [sys.executable, "-c", load], check=True, capture_output=True, text=True, env=environment, cwd=collection_root()
    )
    assert done.stdout == "hidden\n"
    (tmp_path / ".password").write_text("another\n")
    done = subprocess.run(
        [sys.executable, "-c", load], capture_output=True, text=True, env=environment, cwd=collection_root()
    )
    assert "the inventory cannot be decrypted" in done.stderr


def test_no_such_inventory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such inventory \(`kubeinstall init NAME` writes one"):
        Cluster.load(tmp_path / "nowhere")


def test_a_bad_ini_file_says_why(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[etcd\na\n")
    with pytest.raises(InputError, match=r"the inventory names no host: .*Failed to parse inventory"):
        Cluster.load(tmp_path / "hosts")


def test_one_error_speaks_for_itself_several_are_a_list(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("etcd: {hosts: {a: {node_address: 192.0.2.1}}}\n")
    with pytest.raises(InputError) as one:
        Cluster.load(hosts)
    assert str(one.value).startswith("no host in the group control_plane")
    hosts.write_text("etcd: {hosts: {a: {node_address: x}}}\n")
    with pytest.raises(InputError) as several:
        Cluster.load(hosts)
    assert str(several.value).splitlines()[0] == "2 things are in the way:"
    assert len(several.value.problems) == 2


def test_many_hosts_are_named_in_part(tmp_path: Path) -> None:
    nodes = "".join(f"node-{number} ansible_host=192.0.2.{number}\n" for number in range(1, 8))
    (tmp_path / "hosts").write_text(f"[etcd]\na ansible_host=192.0.2.11\n[control_plane]\na\n[node]\n{nodes}")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "node.yml").write_text("node_labels: {a: 1}\n")
    with pytest.raises(InputError) as error:
        Cluster.load(tmp_path)
    assert error.value.problems[0].where.startswith("node-1, node-2, node-3, node-4 and 3 more, ")


def test_a_world_writable_checkout_is_said(tmp_path: Path) -> None:
    """A copy of what a checkout needs to read an inventory, read by a process that knows only the copy."""
    for name in ("kubeinstall", "roles", "playbooks"):
        shutil.copytree(collection_root() / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(collection_root() / "galaxy.yml", tmp_path)
    tmp_path.chmod(0o777)
    load = f"from kubeinstall.cluster import Cluster; print(*Cluster.load({str(EXAMPLE)!r}).warnings)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", load], check=True, capture_output=True, text=True, env=environment, cwd="/"
    )
    assert (
        done.stdout
        == f"everyone may write to {tmp_path}, so Ansible ignores the ansible.cfg there (chmod o-w {tmp_path})\n"
    )


def test_an_inventory_that_others_may_write_to_is_said(tmp_path: Path) -> None:
    inventory = tmp_path / "mine"
    shutil.copytree(EXAMPLE, inventory)
    assert not [str(one) for one in Cluster.load(inventory).warnings if "may write" in str(one)]
    (inventory / "group_vars/all/cluster.yml").chmod(0o666)
    (inventory / "hosts.yml").chmod(0o666)
    (warning,) = [str(one) for one in Cluster.load(inventory).warnings if "may write" in str(one)]
    assert warning == (
        f"every user may write to {inventory / 'hosts.yml'} and 1 more, and so choose what runs as root on the hosts"
        f" (chmod go-w {inventory / 'hosts.yml'} {inventory / 'group_vars/all/cluster.yml'})"
    )


def test_other_keys_are_found_with_all_other_errors(tmp_path: Path) -> None:
    inventory = tmp_path / "mine"
    shutil.copytree(EXAMPLE, inventory)
    pki = PKI(Cluster.load(inventory).pki_directory)
    pki.ensure()
    pki.mark_formed({})
    pki.pin_keys()
    assert Cluster.load(inventory).pki_directory == pki.directory
    (pki.directory / "encryption.key").write_text("another")
    with pytest.raises(InputError, match=r"not the encryption\.key that the cluster uses"):
        Cluster.load(inventory)


def test_inventories_in_one_folder_share_its_variables(tmp_path: Path) -> None:
    """What one of them lacks another may have."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.ini").write_text(f"[etcd]\n{name} ansible_host=192.0.2.1\n[control_plane]\n{name}\n")
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "b.yml").write_text("node_labels: {}\n")
    (warning,) = Cluster.load(tmp_path / "a.ini").warnings
    assert "host_vars/b.yml: Ansible ignores it, because the inventory has no host b" in str(warning)
