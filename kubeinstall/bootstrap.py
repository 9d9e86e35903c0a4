"""The defaults that a cluster was bootstrapped with, kept in its bootstrap record (formed.json of the PKI directory).

A default that became stricter holds for new clusters; a living one keeps what it has until an input says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from kubeinstall.bootstrap_record import BootstrapRecord
from kubeinstall.errors import PKIError
from kubeinstall.pki_directory import RECORD

__all__ = ["NEW", "BootstrapDefaults", "derive", "read", "record"]

KEY = "defaults"
VERSION = 1
LEVELS = ("privileged", "baseline")


@dataclass(frozen=True)
class BootstrapDefaults:
    """`pod_security` is the Pod Security level where no input sets one.

    `plaintext_secrets`: etcd may hold Secrets that are not encrypted, which the API server has to read.
    """

    pod_security: str
    plaintext_secrets: bool


NEW = BootstrapDefaults(pod_security="baseline", plaintext_secrets=False)


def read(bootstrap_record: BootstrapRecord) -> BootstrapDefaults | None:
    """What the bootstrap record holds, None where nothing is recorded yet. Raises PKIError where it is damaged."""
    found = (bootstrap_record.formed or {}).get(KEY)
    if found is None:
        return None
    if (
        not isinstance(found, Mapping)
        or found.keys() != {"version", "pod_security", "plaintext_secrets"}
        or found["version"] != VERSION
        or found["pod_security"] not in LEVELS
        or not isinstance(found["plaintext_secrets"], bool)
    ):
        raise PKIError(
            f"its {KEY} are not of version {VERSION}",
            where=str(bootstrap_record.directory / RECORD),
            remedy="restore it from a backup, or use the version of kubeinstall that wrote it",
        )
    return BootstrapDefaults(found["pod_security"], found["plaintext_secrets"])


def derive(recorded: BootstrapDefaults | None, *, empty: bool, plaintext: bool) -> BootstrapDefaults:
    """The defaults of a cluster by what its etcd holds: `empty`, no object; `plaintext`, Secrets without encryption."""
    if recorded:
        return replace(recorded, plaintext_secrets=plaintext)
    return BootstrapDefaults(NEW.pod_security if empty else "privileged", plaintext)


def record(bootstrap_record: BootstrapRecord, defaults: BootstrapDefaults) -> None:
    """Adds them to the bootstrap record. Raises PKIError where there is none."""
    bootstrap_record.amend({KEY: {"version": VERSION, **asdict(defaults)}})
