"""What certificates say: made, and compared with what they should say. Pure: keys and certificates go in and come out.

Of a host's signing request only the public key is taken; subject, names, usages and dates come from the model.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeinstall.errors import PKIError

__all__ = [
    "AUTHORITIES",
    "CertificateRequest",
    "authority_certificate",
    "expired",
    "issued_by",
    "leaf_certificate",
    "problems",
    "requested_key",
]

AUTHORITIES = ("kubernetes", "etcd", "etcd-peer", "front-proxy")
# Hosts whose clock is a little behind accept a fresh certificate at once.
BACKDATED = timedelta(minutes=5)
AUTHORITY_LIFE = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class CertificateRequest:
    """What a certificate must say.

    `names` are DNS names and `addresses` IP addresses, both as text; `usages` any of "server" and "client".
    Raises PKIError where a value cannot stand in a certificate.
    """

    authority: str
    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    usages: frozenset[str] = frozenset({"client"})

    def __post_init__(self) -> None:
        where = f"certificate {self.common_name!r}"
        if self.authority not in AUTHORITIES:
            raise PKIError(f"there is no authority {self.authority!r}; known: {', '.join(AUTHORITIES)}", where=where)
        # X.509 ends common names and organizations at 64 characters.
        for value in (self.common_name, *self.organizations):
            if not 1 <= len(value) <= 64:
                raise PKIError(
                    f"a name in a certificate's subject has 1 to 64 characters, {value!r} has {len(value)}", where=where
                )
        if not self.usages or not self.usages <= USAGES.keys():
            raise PKIError(f"usages are server, client or both, not {sorted(self.usages)}", where=where)
        for name in self.names:
            if not DNS_NAME.fullmatch(name):
                raise PKIError(f"{name!r} is not a DNS name", where=where)
        for address in self.addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise PKIError(f"{address!r} is not an IP address", where=where) from error


def requested_key(csr_pem: str, where: str) -> ec.EllipticCurvePublicKey:
    """The public key of a signing request, proven by the request's own signature. Raises PKIError."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key, proven = csr.public_key(), csr.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise PKIError(f"it cannot be read: {error}", where=where) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PKIError("its key is not an ECDSA P-256 key", where=where)
    if not proven:
        raise PKIError("it is not signed by the key that it carries", where=where)
    return key


def authority_certificate(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> str:
    """A self-signed authority, in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}-ca")])
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate)


def leaf_certificate(
    request: CertificateRequest,
    key: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    now: datetime,
    until: datetime,
) -> str:
    """A certificate for `key` that says what `request` says, signed by the authority, in PEM."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)]
    subject += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in request.organizations]
    alternatives = [
        *(x509.DNSName(name) for name in request.names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in request.addresses),
    ]
    builder = (
        _builder(x509.Name(subject), authority.subject, key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in sorted(request.usages)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return _pem(builder.sign(signer, hashes.SHA256()))


def problems(
    certificate_pem: str, request: CertificateRequest, authority: x509.Certificate, now: datetime
) -> list[str]:
    """Why a certificate does not do for `request`, in words; empty when it does."""
    try:
        found = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError:
        return ["it is not a certificate in PEM"]
    said = []
    if not issued_by(certificate_pem, authority):
        said.append(f"it was not signed by this cluster's {request.authority} authority")
    until = found.not_valid_after_utc
    if until <= now:
        said.append(f"it expired on {until:%Y-%m-%d}")
    elif until - now <= RENEW_BEFORE and until < authority.not_valid_after_utc:
        said.append(f"it expires on {until:%Y-%m-%d}, within {RENEW_BEFORE.days} days")
    if found.not_valid_before_utc > now:
        said.append(f"it is valid only from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    for what, was, wanted in _compared(found, request):
        if was != wanted:
            said.append(f"its {what} {_listed(was)} (wanted: {_listed(wanted)})")
    return said


def issued_by(certificate_pem: str, ca: x509.Certificate) -> bool:
    """Whether the CA signed the certificate; no for text that is no certificate."""
    try:
        x509.load_pem_x509_certificate(certificate_pem.encode()).verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def expired(certificate_pem: str, now: datetime | None = None) -> bool:
    """Whether no peer accepts the certificate any more; yes for text that is no certificate."""
    try:
        found = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError:
        return True
    return found.not_valid_after_utc <= (now or datetime.now(UTC))


def _compared(found: x509.Certificate, request: CertificateRequest) -> Iterator[tuple[str, set[str], set[str]]]:
    """What a certificate says beside what it has to say."""

    def subject(oid: x509.ObjectIdentifier) -> set[str]:
        return {str(attribute.value) for attribute in found.subject.get_attributes_for_oid(oid)}

    yield "common name is", subject(NameOID.COMMON_NAME), {request.common_name}
    yield "organizations are", subject(NameOID.ORGANIZATION_NAME), set(request.organizations)
    names: set[str] = set()
    addresses: set[str] = set()
    usages: set[str] = set()
    known = {oid: usage for usage, oid in USAGES.items()}
    for extension in found.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = set(extension.value.get_values_for_type(x509.DNSName))
            addresses = {str(address) for address in extension.value.get_values_for_type(x509.IPAddress)}
        elif isinstance(extension.value, x509.ExtendedKeyUsage):
            usages = {known.get(oid, oid.dotted_string) for oid in extension.value}
    yield "DNS names are", names, set(request.names)
    yield "addresses are", addresses, {str(ipaddress.ip_address(address)) for address in request.addresses}
    yield "usages are", usages, set(request.usages)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _listed(values: set[str]) -> str:
    return ", ".join(sorted(values)) or "none"
