"""Every certificate of a cluster: where it is, what it is for, how long it lasts. One round trip to each host."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID
from rich.console import Console
from rich.text import Text

from kubeinstall import runs
from kubeinstall.certificates import AUTHORITIES, RENEW_BEFORE
from kubeinstall.errors import RunError
from kubeinstall.events import Event
from kubeinstall.paths import playbook
from kubeinstall.pki import PKI
from kubeinstall.results import CertificateList

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster

__all__ = ["ask", "described", "late", "on_the_controller", "problems", "show"]

# Where a certificate is that is on no host.
CONTROLLER = "controller"
Certificate = dict[str, Any]


def described(pem: str | None, component: str, path: str, now: datetime | None = None) -> Certificate:
    """{component, path, kind (authority or leaf), subject, authority, expires (UTC), days, problem} of a certificate.

    What cannot be read has a problem, and of the rest nothing but empty values.
    """
    found: Certificate = {"component": component, "path": path, "kind": "leaf", "subject": "", "authority": ""}
    found |= {"expires": "", "days": None, "problem": ""}
    if pem is None:
        return found | {"problem": "it is missing: kubeinstall apply makes it anew"}
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return found | {"problem": "it is not a certificate: kubeinstall apply makes it anew"}
    end = certificate.not_valid_after_utc
    days = (end - (now or datetime.now(UTC))).days
    return found | {
        "kind": "authority" if certificate.subject == certificate.issuer else "leaf",
        "subject": _name(certificate.subject),
        "authority": _name(certificate.issuer).removesuffix("-ca"),
        "expires": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "days": days,
        "problem": "it has expired" if days < 0 else "",
    }


def _name(name: x509.Name) -> str:
    """Its common name, with the groups that it gives."""
    common = ", ".join(str(one.value) for one in name.get_attributes_for_oid(NameOID.COMMON_NAME))
    groups = [str(one.value) for one in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return f"{common} ({', '.join(groups)})" if groups else common


def on_the_controller(cluster: Cluster, now: datetime | None = None) -> list[Certificate]:
    """The authorities, and the operator's own in the kubeconfig; those that were made already."""
    pki, found = PKI(cluster.pki_directory), []
    for name in AUTHORITIES:
        if pki.has(f"{name}/ca.crt"):
            path = str(cluster.pki_directory / name / "ca.crt")
            found.append(described(pki.read(f"{name}/ca.crt"), "authority", path, now))
    kubeconfig = cluster.state_directory / "kubeconfig"
    if kubeconfig.exists():
        try:
            user = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
            pem: str | None = base64.b64decode(user["client-certificate-data"]).decode()
        except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
            pem = ""
        found.append(described(pem, "kubeconfig", str(kubeconfig), now))
    return [{"host": CONTROLLER, **one} for one in found]


def ask(cluster: Cluster, on_event: Callable[[Event], None] | None = None) -> tuple[list[Certificate], list[str]]:
    """(all certificates, why a host could not be asked). RunError is for a run that did not come about."""
    result = runs.run([playbook("certs")], cluster.inventory, on_event=on_event)
    if result.status == "interrupted" or not result.stats:
        raise RunError("the hosts were not asked", remedy="\n".join(one.message for one in result.failures))
    answers, missing = result.results(CertificateList, [host.name for host in cluster.hosts])
    found = on_the_controller(cluster)
    for name, answer in answers.items():
        found += [{"host": name, **one.model_dump()} for one in answer.certificates]
    return found, missing


def problems(certificates: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each that does not do any more."""
    return [f"{one['host']}: {one['path']}: {one['problem']}" for one in certificates if one["problem"]]


def late(certificate: Mapping[str, Any]) -> bool:
    """Whether the next run renews it, or would if it could."""
    days: int | None = certificate["days"]
    return days is None or days < RENEW_BEFORE.days


def show(console: Console, certificates: Iterable[Mapping[str, Any]]) -> None:
    """A line for each, never cut; those that are to be renewed are marked."""
    rows = [tuple((name, "dim") for name in ("host", "for", "path", "subject", "authority", "days", "until"))]
    for one in certificates:
        style = "" if not late(one) else "red" if one["problem"] else "yellow"
        days = str(one["days"] if one["days"] is not None else "-")
        until = " ".join((one["problem"] or one["expires"][:10], "renew" if style else "")).rstrip()
        told = ((one[name], "") for name in ("component", "path", "subject", "authority"))
        rows.append(((one["host"], "bold"), *told, (days, style), (until, style)))
    widths = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = Text("  ").join(Text(text.ljust(width), style) for (text, style), width in zip(row, widths, strict=True))
        line.rstrip()
        console.print(line, soft_wrap=True, highlight=False)
