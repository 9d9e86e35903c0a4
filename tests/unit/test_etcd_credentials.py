"""`kubeinstall etcd credentials`: a certificate of the application's own, and for nobody else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import typer
from cryptography import x509
from typer.testing import CliRunner

from kubeinstall.certificates import CertificateRequest
from kubeinstall.cli_etcd_credentials import credentials, write
from kubeinstall.cluster import Cluster
from kubeinstall.errors import InputError, PKIError
from kubeinstall.pki import PKI

HOSTS = """\
etcd: {hosts: {a: {ansible_host: 192.0.2.11}, b: {ansible_host: 192.0.2.12}, c: {ansible_host: 192.0.2.13}}}
control_plane: {hosts: {a: }}
all: {vars: {etcd_application_users: {shop: {prefix: /apps/shop/}, toys: {prefix: /apps/toys/}}}}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS)
    PKI(Cluster.load(folder).pki_directory).ensure()
    return folder


def test_what_it_writes_lets_the_application_in(inventory: Path, tmp_path: Path) -> None:
    app, out = typer.Typer(), tmp_path / "shop"
    app.command()(credentials)
    said = CliRunner().invoke(app, ["shop", "--out", str(out), "-i", str(inventory)])
    assert said.exit_code == 0, said.output
    assert "https://192.0.2.11:2379,https://192.0.2.12:2379,https://192.0.2.13:2379" in said.output
    assert "/apps/shop/" in said.output
    assert sorted(path.name for path in out.iterdir()) == ["ca.crt", "shop.crt", "shop.key"]
    assert stat.S_IMODE((out / "shop.key").stat().st_mode) == 0o600
    pki = PKI(Cluster.load(inventory).pki_directory)
    certificate = (out / "shop.crt").read_text()
    request = CertificateRequest("etcd", "shop", (), (), (), frozenset({"client"}))
    assert pki.problems(certificate, request) == []
    assert (out / "ca.crt").read_text() == pki.read("etcd/ca.crt")
    assert x509.load_pem_x509_certificate(certificate.encode()).subject.rfc4514_string() == "CN=shop"


def test_names_that_the_inventory_does_not_list_are_refused(inventory: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"root is no application.*it names shop, toys"):
        write(Cluster.load(inventory), "root", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(inventory: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="there is something in it already"):
        write(Cluster.load(inventory), "shop", tmp_path)


def test_without_the_authoritys_key_nothing_is_written(inventory: Path, tmp_path: Path) -> None:
    cluster = Cluster.load(inventory)
    (cluster.pki_directory / "etcd/ca.key").unlink()
    with pytest.raises(PKIError, match="the etcd authority's key is not here"):
        write(cluster, "shop", tmp_path / "out")
    assert not (tmp_path / "out").exists()
