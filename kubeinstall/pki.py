"""The cluster's CAs and shared keys, kept on the control node.

One directory per cluster, 0700, every file 0600:

    kubernetes/ca.{crt,key}  etcd/ca.{crt,key}  etcd-peer/ca.{crt,key}  front-proxy/ca.{crt,key}
    service-account.{key,pub}  encryption.key (base64 of 32 bytes)  formed.json  etcd-users.json (there may be some)
    bootstrap.json (etcd's initial cluster token, until the cluster is bootstrapped)

formed.json (kubeinstall.bootstrap_record) pins the CAs and the shared keys by digest.

Hosts make their own keys and send signing requests. Comparing certificates needs the CAs' certificates only: their keys
may be away until something has to be signed.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeinstall import certificates
from kubeinstall.bootstrap_record import BootstrapRecord
from kubeinstall.certificates import AUTHORITIES, CertificateRequest
from kubeinstall.errors import PKIError
from kubeinstall.pki_directory import ETCD_USERS, SHARED

__all__ = ["AUTHORITIES", "ETCD_USERS", "PKI", "CertificateRequest"]

# The private service account key is not among them: it has to belong to the public one.
PINNED = ("service-account.pub", "encryption.key")


class PKI(BootstrapRecord):
    """The CAs and shared keys of one cluster, with its bootstrap record, in one directory."""

    authorities = AUTHORITIES

    # CAs and shared keys

    def ensure(self) -> list[str]:
        """Creates whatever is missing and returns the names of what was created.

        Any number of processes may call it at once. Raises PKIError when a formed cluster lacks an authority or
        a shared key, or holds another authority than it was formed with: a new one would cut it off from itself.
        """
        if not self._missing() and not self._unpinned():
            self.check()
            return []
        with self._locked():
            missing, unpinned = self._missing(), self._unpinned()
            lost = [name for name in missing if name.removesuffix("/ca.crt") not in unpinned]
            if lost and self.formed is not None:
                raise self._lost(lost)
            self.check()
            for name in missing:
                self._create(name)
            if unpinned:
                self._pin(self.formed or {})
            return missing

    def check(self) -> None:
        """Raises PKIError unless the CAs and shared keys are those that the cluster was formed with.

        Without a cluster only the service account's key and public key have to belong together.
        """
        self._close_to_others()
        record = self.formed
        formed = record or {}
        pinned = {f"{name}/ca.crt": digest for name, digest in formed.get("authorities", {}).items()}
        expected = [] if record is None else [*pinned, *SHARED]
        if missing := [name for name in expected if not self.has(name)]:
            raise self._lost(missing)
        for name, digest in (pinned | formed.get("keys", {})).items():
            if self._digest(name) != digest:
                kind = f"the {name.partition('/')[0]} authority" if name in pinned else f"the {name}"
                raise PKIError(
                    f"this is not {kind} that the cluster {'was formed with' if name in pinned else 'uses'}",
                    where=str(self.directory / name),
                    remedy="put this cluster's PKI directory back from a backup; if the cluster is gone for good,"
                    " remove formed.json there",
                )
        if all(map(self.has, SHARED[:2])) and self._public_key() != self._text("service-account.pub").strip():
            raise PKIError(
                "service-account.key does not belong to service-account.pub",
                where=str(self.directory),
                remedy="put the right pair back from a backup",
            )

    def read(self, name: str) -> str:
        """The text of an authority's certificate or of a shared key, for a file on a host. Raises PKIError."""
        if name not in (*(f"{authority}/ca.crt" for authority in AUTHORITIES), *SHARED):
            raise PKIError(
                f"{name!r} is not given out",
                where=str(self.directory),
                remedy=f"known: AUTHORITY/ca.crt of {', '.join(AUTHORITIES)}; {', '.join(SHARED)}",
            )
        return self._text(name)

    def pin_keys(self) -> None:
        """Adds the digests of the shared keys to formed.json. Call it once the control planes are known to use them."""
        self.check()
        self.amend({"keys": {name: self._digest(name) for name in PINNED}})

    # Certificates

    def sign(self, csr_pem: str, request: CertificateRequest, *, now: datetime | None = None, days: int = 365) -> str:
        """A certificate in PEM for the public key of a signing request; all else is as `request` says.

        Raises PKIError when the signing request is not signed by its own P-256 key, or the authority cannot sign.
        """
        key = certificates.requested_key(csr_pem, f"signing request of {request.common_name}")
        return self._certificate(key, request, now or datetime.now(UTC), days)

    def issue(self, request: CertificateRequest, *, now: datetime | None = None, days: int = 365) -> tuple[str, str]:
        """A certificate and a fresh private key, both PEM, for the operator's own kubeconfig."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._certificate(key.public_key(), request, now or datetime.now(UTC), days), _key_pem(key)

    def problems(self, certificate_pem: str, request: CertificateRequest, *, now: datetime | None = None) -> list[str]:
        """Why a host's certificate does not do for `request`, in words; empty when it does. Needs no private key."""
        authority = self._authority(request.authority)
        return certificates.problems(certificate_pem, request, authority, now or datetime.now(UTC))

    def issued_by(self, name: str, certificate_pem: str) -> bool:
        """Whether the CA of that name signed a certificate; no while the CA does not exist."""
        return self.has(f"{name}/ca.crt") and certificates.issued_by(certificate_pem, self._authority(name))

    # Inside

    def _missing(self) -> list[str]:
        """What ensure() would have to create. An authority's key may be away, its certificate may not."""
        names = [f"{authority}/ca.crt" for authority in AUTHORITIES] + list(SHARED)
        return [name for name in names if not self.has(name)]

    def _lost(self, missing: list[str]) -> PKIError:
        return PKIError(
            f"a living cluster was formed with {', '.join(missing)}, which is missing",
            where=str(self.directory),
            remedy="put it back from a backup: no host would trust a new one. If the cluster is gone for good,"
            " remove formed.json there",
        )

    def _create(self, name: str) -> None:
        if name.endswith("/ca.crt"):
            authority = name.removesuffix("/ca.crt")
            # The key is written first: a run killed between the two finds it and makes the certificate for it.
            key_name = f"{authority}/ca.key"
            key = self._key(key_name) if self.has(key_name) else self._new_key(key_name)
            self._write(name, certificates.authority_certificate(authority, key, datetime.now(UTC)))
        elif name == "service-account.key":
            if self.has("service-account.pub"):
                raise PKIError(
                    "service-account.pub is there without its service-account.key",
                    where=str(self.directory),
                    remedy="put the key back, or remove the other if no cluster uses it",
                )
            self._new_key(name)
        elif name == "service-account.pub":
            self._write(name, self._public_key() + "\n")
        else:
            self._write(name, base64.b64encode(secrets.token_bytes(32)).decode())

    def _certificate(
        self, key: ec.EllipticCurvePublicKey, request: CertificateRequest, now: datetime, days: int
    ) -> str:
        authority = self._authority(request.authority)
        where = str(self.directory / request.authority)
        if not self.has(f"{request.authority}/ca.key"):
            raise PKIError(
                f"{request.common_name} needs a certificate, but the {request.authority} authority's key is not here",
                where=where,
                remedy="put its ca.key back for this run",
            )
        signer = self._key(f"{request.authority}/ca.key")
        if signer.public_key() != authority.public_key():
            raise PKIError("ca.key and ca.crt do not belong together", where=where, remedy="put back the right pair")
        until = min(now + timedelta(days=days), authority.not_valid_after_utc)
        if until <= now:
            raise PKIError(f"the authority expired on {until:%Y-%m-%d}", where=where, remedy="it has to be replaced")
        return certificates.leaf_certificate(request, key, authority, signer, now, until)

    def _authority(self, name: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self._text(f"{name}/ca.crt").encode())
        except ValueError:
            raise PKIError(
                "it is not a certificate",
                where=str(self.directory / name / "ca.crt"),
                remedy="put it back from a backup",
            ) from None

    def _public_key(self) -> str:
        """The public key, in PEM, that belongs to the service account's private key."""
        public = self._key("service-account.key").public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return pem.decode().strip()

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key(self._text(name).encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PKIError(
                "it is not an ECDSA key in PEM", where=str(self.directory / name), remedy="put it back from a backup"
            )
        return key

    def _new_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(name, _key_pem(key))
        return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
