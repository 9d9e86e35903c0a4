"""When certificates end, as the host reads it, beside what another program reads."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import expiry, probe
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host
from cryptography import x509

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI

NOW = datetime.now(UTC)


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    made = PKI(tmp_path / "pki")
    made.ensure()
    return made


@pytest.mark.parametrize("days", [1, 90, 365, 365 * 9])
def test_it_is_the_end_that_the_certificate_has(pki: PKI, days: int) -> None:
    pem, _ = pki.issue(CertificateRequest("etcd", "somebody"), now=NOW, days=days)
    assert expiry.end(pem) == x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()


def test_a_ca_of_another_program_that_outlives_2049(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -days 20000"
    pem = Host().run([*command.split(), "-keyout", str(tmp_path / "key")]).stdout
    assert expiry.end(pem) == x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----"],
)
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    assert expiry.end(text) is None


def test_a_host_names_those_that_have_expired(tmp_path: Path, pki: PKI) -> None:
    root = tmp_path / "root"
    paths = {f"/etc/etcd/pki/{name}": name for name in ("server.crt", "peer.crt", "gone.crt", "damaged.crt", "ca.crt")}
    for path, name in paths.items():
        (root / "etc/etcd/pki").mkdir(parents=True, exist_ok=True)
        since = NOW - timedelta(days=400 if name in ("server.crt", "ca.crt") else 0)
        text = "damaged" if name == "damaged.crt" else pki.issue(CertificateRequest("etcd", "x"), now=since)[0]
        if name != "gone.crt":
            (root / path[1:]).write_text(text)
    records = root / "var/lib/kubeinstall"
    records.mkdir(parents=True)
    (records / "etcd.json").write_text(json.dumps({"files": list(paths)}))
    (records / "flannel.json").write_text("{")
    found = expiry.expired(Host(str(root)), NOW.timestamp())
    assert [one["path"] for one in found] == ["/etc/etcd/pki/server.crt"]
    if os.geteuid() == 0:
        spec = {"root": str(root), "ports": [], "programs": [], "digests": [], "vacant": [], "backend": "vxlan"}
        (root / "proc").symlink_to("/proc")
        assert probe.main({**spec, "registries": {}, "calendars": []})["expired"] == found
