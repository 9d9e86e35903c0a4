"""The operator's kubeconfig: made, kept, and made anew when it no longer does."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from kubeinstall import access
from kubeinstall.cluster import Cluster
from kubeinstall.errors import KubeinstallError
from kubeinstall.pki import PKI


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server of these clusters is on no network."""
    monkeypatch.setattr(access, "_asked", lambda *_: (0, "nobody is there"))


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump(
            {
                "all": {
                    "hosts": {"cp1": {"node_address": "192.0.2.1"}},
                    "children": {name: {"hosts": {"cp1": None}} for name in ("etcd", "control_plane")},
                    "vars": {"cluster_name": "mine"},
                }
            }
        )
    )
    return Cluster.load(tmp_path)


@pytest.fixture
def pki(cluster: Cluster) -> PKI:
    """The authorities of a cluster that was formed."""
    made = PKI(cluster.pki_directory)
    made.ensure()
    made.mark_formed({"id": "1"})
    return made


def read(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def certificate(path: Path) -> x509.Certificate:
    user = read(path)["users"][0]["user"]
    return x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))


def test_a_kubeconfig_is_private_and_for_this_cluster(cluster: Cluster, pki: PKI) -> None:
    path = access.kubeconfig(cluster).path
    assert path == cluster.state_directory / "kubeconfig"
    assert path.stat().st_mode & 0o777 == 0o600
    config = read(path)
    assert config["current-context"] == "mine"
    target = config["clusters"][0]["cluster"]
    assert target["server"] == "https://192.0.2.1:6443"
    assert base64.b64decode(target["certificate-authority-data"]).decode() == pki.read("kubernetes/ca.crt")
    subject = certificate(path).subject
    assert [one.value for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["kubernetes-admin"]
    groups = [one.value for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ["kubeinstall:cluster-admins"]


def test_it_is_kept_while_it_does_also_without_the_authoritys_key(cluster: Cluster, pki: PKI) -> None:
    before = access.kubeconfig(cluster).path.read_text()
    (cluster.pki_directory / "kubernetes" / "ca.key").unlink()
    assert access.kubeconfig(cluster).path.read_text() == before


@pytest.mark.parametrize("fault", ["expires", "server", "authority", "damaged", "empty"])
def test_it_is_made_anew_when_it_no_longer_does(cluster: Cluster, pki: PKI, fault: str) -> None:
    path = access.kubeconfig(cluster).path
    before = certificate(path)
    config = read(path)
    if fault == "expires":
        old = access.Kubeconfig(path, cluster.api_server, False, *pki.issue(access.OPERATOR, days=20))
        access.write_private(path, access._render("mine", old, pki.read("kubernetes/ca.crt")))
    elif fault == "server":
        cluster = cluster.model_copy(update={"api_server": "https://192.0.2.9:6443"})
    elif fault == "authority":
        config["clusters"][0]["cluster"]["certificate-authority-data"] = "YQ=="
        path.write_text(yaml.safe_dump(config))
    else:
        path.write_text("{" if fault == "damaged" else "")

    access.kubeconfig(cluster)

    assert certificate(path).serial_number != before.serial_number
    assert read(path)["clusters"][0]["cluster"]["server"] == cluster.api_server
    assert pki.problems(certificate(path).public_bytes(x509_pem()).decode(), access.OPERATOR) == []


def x509_pem() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.PEM


def test_no_kubeconfig_for_a_cluster_that_does_not_exist(cluster: Cluster) -> None:
    PKI(cluster.pki_directory).ensure()
    with pytest.raises(KubeinstallError, match="the cluster mine does not exist yet"):
        access.kubeconfig(cluster)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(KubeinstallError, match="cannot write it: No such file or directory"):
        access.write_private(tmp_path / "none" / "config", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KubeinstallError, match="folder: cannot write it"):
        access.write_private(tmp_path / "folder", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
