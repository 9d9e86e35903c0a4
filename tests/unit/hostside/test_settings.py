"""The settings that a cluster keeps, read from files as the roles write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import probe, settings
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

ROLES = Path(__file__).parents[3] / "roles"


def trusted(value: Any) -> Any:
    """The value with all templates in it, as Ansible takes those of a role's files."""
    if isinstance(value, dict):
        return {name: trusted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def rendered(role: str, template: str, **variables: Any) -> str:
    """A template of a role with its defaults."""
    known: dict[str, Any] = {"inventory_hostname": "cp1"}
    for file in ("defaults", "vars"):
        path = ROLES / role / file / "main.yml"
        known |= yaml.safe_load(path.read_text()) if path.exists() else {}
    text = trust_as_template((ROLES / role / "templates" / template).read_text())
    templar = Templar(DataLoader(), trusted(known) | variables)
    return str(templar.template(text, overrides={"trim_blocks": True, "lstrip_blocks": True}, escape_backslashes=False))


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def record(root: Path, name: str, *, ready: bool = True, **data: Any) -> None:
    stamp = {"stamp": {"inputs": "x", "invocation": "1"}} if ready else {}
    write(root, f"var/lib/kubeinstall/{name}.json", json.dumps(stamp | data))


@pytest.fixture
def control_plane(tmp_path: Path) -> Path:
    units = {
        "etcd": rendered("etcd", "etcd.service.j2", etcd_address="192.0.2.11"),
        "kube-apiserver": rendered(
            "kube_apiserver",
            "kube-apiserver.service.j2",
            kube_apiserver_cluster_domain="a.example",
            kube_apiserver_service_network="10.96.0.0/16",
            kube_apiserver_balanced=False,
            kube_apiserver_extra_arguments={"etcd-prefix": "/50%$"},
        ),
        "kube-controller-manager": rendered(
            "kube_controller_manager",
            "kube-controller-manager.service.j2",
            kube_controller_manager_cluster_name="one",
            kube_controller_manager_pod_network="10.244.0.0/16",
            kube_controller_manager_pod_network_node_prefix=24,
            kube_controller_manager_service_network="10.96.0.0/16",
        ),
    }
    for name, unit in units.items():
        write(tmp_path, f"etc/systemd/system/{name}.service", unit)
        record(tmp_path, name)
    configuration = rendered(
        "kubelet", "config.yaml.j2", kubelet_cluster_domain="a.example", kubelet_dns_address="10.96.0.10"
    )
    write(tmp_path, "var/lib/kubelet/config.yaml", configuration)
    network = rendered("flannel", "net-conf.json.j2", flannel_pod_network="10.244.0.0/16", flannel_nftables=True)
    write(tmp_path, "etc/flannel/net-conf.json", network)
    record(tmp_path, "kubelet")
    record(tmp_path, "flannel")
    return tmp_path


def test_settings_of_a_control_plane(control_plane: Path) -> None:
    assert settings.found(Host(str(control_plane))) == {
        "etcd": {"initial-advertise-peer-urls": "https://192.0.2.11:2380"},
        "kube-apiserver": {
            "etcd-prefix": "/50%$",
            "service-account-issuer": "https://kubernetes.default.svc.a.example",
            "service-cluster-ip-range": "10.96.0.0/16",
        },
        "kube-controller-manager": {
            "cluster-cidr": "10.244.0.0/16",
            "cluster-name": "one",
            "node-cidr-mask-size": "24",
        },
        "kubelet": {"clusterDomain": "a.example"},
        "flannel": {"Network": "10.244.0.0/16"},
    }


def test_what_was_never_ready_and_damaged_files_have_none(control_plane: Path) -> None:
    record(control_plane, "kube-apiserver", ready=False)
    write(control_plane, "var/lib/kubeinstall/kube-controller-manager.json", "{")
    write(control_plane, "var/lib/kubeinstall/kubelet.json", "[]")
    write(control_plane, "etc/flannel/net-conf.json", "[]")
    (control_plane / "etc/systemd/system/etcd.service").unlink()
    assert settings.found(Host(str(control_plane))) == {"etcd": {}, "flannel": {}}


def test_versions_are_those_of_the_records(tmp_path: Path) -> None:
    record(tmp_path, "kubelet", versions={"kubelet": "1.37.1"})
    record(tmp_path, "etcd", versions={"etcd": "3.6.14", "etcdctl": "3.6.14"})
    record(tmp_path, "host")
    write(tmp_path, "var/lib/kubeinstall/flannel.json", "{")
    write(tmp_path, "var/lib/kubeinstall/coredns.json", "[]")
    names = ("kubelet", "etcd", "host", "flannel", "coredns")
    assert probe.versions(Host(str(tmp_path)), names) == {"kubelet": "1.37.1", "etcd": "3.6.14", "etcdctl": "3.6.14"}
