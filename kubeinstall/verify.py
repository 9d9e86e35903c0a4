"""What a verification found: judged certificates, and a table of checks and hosts with what is wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeinstall.events import RunResult

__all__ = ["CHECKS", "Check", "Verification", "judge_certificates", "read", "show"]

# In the order in which they depend on each other.
CHECKS = (
    *("etcd", "container engine", "API server", "controller manager", "scheduler"),
    *("API balancer", "API address", "kubelet", "kube-proxy", "flannel"),
    *("certificates", "node", "pods", "ClusterIP", "NodePort", "DNS", "etcd holds what the API wrote"),
)
# A run renews certificates thirty days before their end: one that is closer to it than this was left alone.
LATE_DAYS = 7


@dataclass(frozen=True)
class Check:
    """One thing that was looked at on one host: sentences for what is wrong, and what else is worth knowing."""

    check: str
    host: str
    problems: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """All that was looked at. `failures` are what kept the verification itself from being made, by host."""

    checks: tuple[Check, ...]
    failures: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> list[str]:
        """A sentence for all that is wrong, with its host."""
        found = [f"{one.host}: {one.check}: {problem}" for one in self.checks for problem in one.problems]
        return found + [f"{host}: {message}" if host else message for host, message in self.failures]


def judge_certificates(
    found: Mapping[str, Mapping[str, Any]], names: Mapping[str, Sequence[str]], *, now: datetime | None = None
) -> tuple[list[str], str]:
    """What is wrong with a host's certificates, and the days that are left to the first that ends.

    `found` is {path: {pem, pair}}, authorities being those without a pair; `names` is {path: names and addresses that
    the certificate has to carry}. Each has to be signed by one of the authorities beside it.
    """
    now = now or datetime.now(UTC)
    problems, certificates = [], {}
    for path, item in found.items():
        try:
            certificates[path] = x509.load_pem_x509_certificate(str(item["pem"]).encode())
        except ValueError:
            problems.append(f"{path} is not a certificate")
    authorities = [one for path, one in certificates.items() if found[path]["pair"] is None]
    for path, certificate in certificates.items():
        problems += [f"{path} {problem}" for problem in _date_problems(certificate, now)]
        if found[path]["pair"] is None:
            continue
        if not found[path]["pair"]:
            problems.append(f"{path} does not belong to the key beside it")
        if not any(_signed_by(certificate, authority) for authority in authorities):
            problems.append(f"{path} is signed by no authority that this host knows")
    for path, wanted in names.items():
        if path not in found:
            problems.append(f"{path} is missing")
        elif path in certificates:
            lacking = [name for name in wanted if name not in _names(certificates[path])]
            problems += [f"{path} does not carry {', '.join(lacking)}"] if lacking else []
    days = [(certificate.not_valid_after_utc - now).days for certificate in certificates.values()]
    return problems, f"{min(days)} days left" if days else ""


def _date_problems(certificate: x509.Certificate, now: datetime) -> Iterable[str]:
    end = certificate.not_valid_after_utc
    if end <= now:
        yield f"expired on {end:%Y-%m-%d}"
    elif (end - now).days < LATE_DAYS:
        yield f"ends in {(end - now).days} days, on {end:%Y-%m-%d}: kubeinstall apply renews it"
    if certificate.not_valid_before_utc > now:
        yield f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: is the host's clock right?"


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *(str(ipaddress.ip_address(str(one))) for one in addresses)}


def read(result: RunResult, hosts: Sequence[str]) -> Verification:
    """What the tasks of playbooks/verify.yml returned. The verdict of each host, which only repeats it, is left out."""
    checks: dict[tuple[str, str], Check] = {}
    for event in result.events:
        for item in event.result.get("checks", ()) if event.kind == "ok" else ():
            key = item["check"], item["host"]
            before = checks.get(key, Check(*key))
            # An API server that doesn't answer says so twice: when pods are to be started, and when they are to go.
            problems = dict.fromkeys((*before.problems, *item["problems"]))
            checks[key] = Check(*key, tuple(problems), item["detail"] or before.detail)
    failures = [
        (failure.host, failure.message) for failure in result.failures if failure.step != VERDICT or failure.unreachable
    ]
    order = {name: number for number, name in enumerate(CHECKS)}
    ordered = sorted(checks.values(), key=lambda one: (order.get(one.check, len(order)), hosts.index(one.host)))
    return Verification(tuple(ordered), tuple(failures), tuple(hosts))


VERDICT = "Say what is wrong"


def show(console: Console, found: Verification) -> None:
    """A row for each check, a column for each host, or counts where so many hosts don't fit; then what is wrong."""
    by_host = sum(len(host) + 2 for host in found.hosts) + max(map(len, CHECKS)) <= console.width
    columns = found.hosts if by_host else ("hosts",)
    table = Table("", *columns, box=None, pad_edge=False, header_style="dim")
    for name in dict.fromkeys(one.check for one in found.checks):
        rows = {one.host: one for one in found.checks if one.check == name}
        cells = [_cell(rows.get(host)) for host in found.hosts] if by_host else [_count(rows.values())]
        table.add_row(name, *cells)
    console.print(table)
    for problem in found.problems:
        console.print(Text(problem, "red"), soft_wrap=True)


def _cell(check: Check | None) -> Text:
    if check is None:
        return Text("-", "dim")
    return Text("wrong", "bold red") if check.problems else Text(check.detail or "ok", "green")


def _count(checks: Iterable[Check]) -> Text:
    whole = list(checks)
    wrong = [one.host for one in whole if one.problems]
    if not wrong:
        return Text(f"all {len(whole)} ok", "green")
    return Text(f"{len(wrong)} of {len(whole)} wrong: {', '.join(wrong[:8])}{', …' if wrong[8:] else ''}", "bold red")
