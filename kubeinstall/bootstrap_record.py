"""The bootstrap record (formed.json of the PKI directory): that the cluster exists, and what it was bootstrapped with.

A JSON object. Each change keeps the keys of the others:

    at, members   when the cluster was bootstrapped, on which hosts
    cluster_id    etcd's id of the cluster, hexadecimal
    authorities   {CA: digest of its certificate}
    keys          {file: digest}, once the control planes use the shared keys
    defaults      kubeinstall.bootstrap
    revision, restoring, restored   kubeinstall.restores

bootstrap.json holds etcd's initial cluster token until there is a record.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from kubeinstall.certificates import AUTHORITIES
from kubeinstall.errors import PKIError
from kubeinstall.pki_directory import BOOTSTRAP, RECORD, PKIDirectory

__all__ = ["BootstrapRecord"]


class BootstrapRecord(PKIDirectory):
    """The bootstrap record of one cluster, in its PKI directory."""

    @property
    def formed(self) -> dict[str, Any] | None:
        """What mark_formed() wrote, None while no cluster was formed. Raises PKIError when it cannot be read."""
        if not self.has(RECORD):
            return None
        try:
            formed = json.loads(self._text(RECORD))
        except ValueError:
            formed = None
        if not isinstance(formed, dict):
            raise PKIError(
                "it is not a JSON object",
                where=str(self.directory / RECORD),
                remedy="put it back from a backup; it is the mark that the cluster exists",
            )
        return formed

    def mark_formed(self, info: Mapping[str, Any]) -> None:
        """Replaces the record by `info` (JSON) with the digests of all CAs, and ends the bootstrap."""
        with self._locked():
            self._end_bootstrap(info)

    def amend(self, changes: Mapping[str, Any]) -> None:
        """Sets keys of the record, and keeps all others. Raises PKIError where there is no record."""
        with self._locked():
            formed = self.formed
            if formed is None:
                raise PKIError(
                    "the cluster is not bootstrapped yet", where=str(self.directory), remedy="run `kubeinstall apply`"
                )
            self._end_bootstrap({**formed, **changes})

    def clear_formed(self) -> None:
        """Removes the record, once all hosts were reset. The CAs stay."""
        with self._locked():
            for name in (RECORD, BOOTSTRAP):
                (self.directory / name).unlink(missing_ok=True)

    @property
    def pinned(self) -> bool:
        """Whether the record has the digests of the shared keys."""
        return "keys" in (self.formed or {})

    def key_digest(self) -> str:
        """The digest of the encryption key in the record and in a backup's FILE.json."""
        return self._digest("encryption.key")

    @property
    def bootstrap_token(self) -> str | None:
        """The token of a bootstrap that has not ended, None if there is none. Raises PKIError if it cannot be read."""
        if not self.has(BOOTSTRAP):
            return None
        try:
            return str(json.loads(self._text(BOOTSTRAP))["token"])
        except (ValueError, TypeError, KeyError):
            raise PKIError(
                "it holds no token of etcd's bootstrap",
                where=str(self.directory / BOOTSTRAP),
                remedy="reset the hosts, and start the installation again",
            ) from None

    def begin_bootstrap(self, token: str) -> None:
        """Keeps etcd's initial cluster token until mark_formed(); the first of several callers decides."""
        with self._locked():
            if not self.has(BOOTSTRAP):
                self._write(BOOTSTRAP, json.dumps({"token": token}) + "\n")

    def _unpinned(self) -> list[str]:
        """CAs that a formed cluster is older than: its record has no digest of them, and no host trusts them yet."""
        pinned = (self.formed or {}).get("authorities")
        return [name for name in AUTHORITIES if name not in pinned] if pinned else []

    def _end_bootstrap(self, info: Mapping[str, Any]) -> None:
        self._pin(info)
        (self.directory / BOOTSTRAP).unlink(missing_ok=True)

    def _pin(self, info: Mapping[str, Any]) -> None:
        """Write the record with the digests of all CAs. A pinned digest stays, also if the file is gone or differs."""
        digests = dict(info.get("authorities", {}))
        added = [name for name in AUTHORITIES if name not in digests and self.has(f"{name}/ca.crt")]
        digests |= {name: self._digest(f"{name}/ca.crt") for name in added}
        self._write(RECORD, json.dumps({**info, "authorities": digests}, indent=2, sort_keys=True) + "\n")

    def _digest(self, name: str) -> str:
        """The digest that pins a file. Of a secret one it is an HMAC keyed with the secret: it proves equality only."""
        text = self._text(name)
        if name == "encryption.key":
            return hmac.digest(text.strip().encode(), b"kubeinstall encryption.key", "sha256").hex()
        return hashlib.sha256(text.encode()).hexdigest()
