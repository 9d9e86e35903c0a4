"""A cluster without a run for a year: the same certificates, for the same keys, that ended yesterday."""

from __future__ import annotations

import base64
import ipaddress
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeinstall.certificates import CertificateRequest
from kubeinstall.pki import PKI
from tests.clusters import Cluster

__all__ = ["expire"]

USAGES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
# Each certificate that has a key beside it, with its path before it.
LISTED = (
    "for f in $(find /etc/kubernetes/pki /etc/etcd/pki -name '*.crt' 2>/dev/null); do"
    ' [ ! -e ${f%.crt}.key ] || { echo "# $f"; cat $f; }; done'
)
LIFE = timedelta(days=365)


def expire(cluster: Cluster) -> dict[str, list[str]]:
    """Replaces every leaf certificate, the operator's own too; {host: paths}. Nothing is restarted."""
    pki = PKI(cluster.inventory / ".kubeinstall" / "pki")
    replaced: dict[str, list[str]] = {}
    for name in cluster.addresses:
        commands = []
        for path, pem in _listed(cluster.sh(name, LISTED)).items():
            replaced.setdefault(name, []).append(path)
            # Into the same file: its owner and mode stay.
            commands.append(f"echo {shlex.quote(_ended(pki, pem))} > {path}")
        cluster.sh(name, "; ".join(commands))
    kubeconfig = cluster.inventory / ".kubeinstall" / "kubeconfig"
    # The first kubectl makes it.
    if kubeconfig.exists():
        _expire_kubeconfig(pki, kubeconfig)
    return replaced


def _listed(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            path = line[2:]
            found[path] = ""
        else:
            found[path] += line + "\n"
    return found


def _ended(pki: PKI, pem: str) -> str:
    before = x509.load_pem_x509_certificate(pem.encode())
    key = before.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    ended = pki._certificate(key, _request(before), datetime.now(UTC) - LIFE - timedelta(days=1), LIFE.days)
    return ended.strip()


def _request(certificate: x509.Certificate) -> CertificateRequest:
    def attributes(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(str(one.value) for one in name.get_attributes_for_oid(oid))

    values: dict[type[Any], Any] = {type(one.value): one.value for one in certificate.extensions}
    names = values.get(x509.SubjectAlternativeName)
    addresses = names.get_values_for_type(x509.IPAddress) if names else ()
    return CertificateRequest(
        attributes(certificate.issuer, NameOID.COMMON_NAME)[0].removesuffix("-ca"),
        attributes(certificate.subject, NameOID.COMMON_NAME)[0],
        attributes(certificate.subject, NameOID.ORGANIZATION_NAME),
        tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        tuple(str(ipaddress.ip_address(str(one))) for one in addresses),
        frozenset(USAGES[oid] for oid in values[x509.ExtendedKeyUsage]),
    )


def _expire_kubeconfig(pki: PKI, path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    user = config["users"][0]["user"]
    pem = base64.b64decode(user["client-certificate-data"]).decode()
    user["client-certificate-data"] = base64.b64encode(_ended(pki, pem).encode()).decode()
    path.write_text(yaml.safe_dump(config))
