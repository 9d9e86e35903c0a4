"""What a verification found: judged certificates, and a table of checks and hosts with what is wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeinstall.cluster.inputs import CONTROL_PLANE, ETCD, NODE
from kubeinstall.cluster.services import services
from kubeinstall.events import RunResult
from kubeinstall.results import Check, ClusterChecks, ClusterCleanup, HostChecks, NetworkChecks

if TYPE_CHECKING:
    from kubeinstall.cluster import Host

__all__ = ["CHECKS", "Verification", "expected", "judge_certificates", "read", "show"]

# In the order in which they depend on each other.
CHECKS = (
    *("etcd", "container engine", "API server", "controller manager", "scheduler"),
    *("API balancer", "API address", "kubelet", "kube-proxy", "flannel"),
    *("certificates", "node", "pods", "ClusterIP", "NodePort", "DNS", "etcd holds what the API wrote"),
)
# By the services of a host.
_OF_SERVICES = {
    "etcd": "etcd",
    "container-engine": "container engine",
    "docker": "container engine",
    "cri-dockerd": "cri-dockerd",
    "kube-apiserver": "API server",
    "kube-controller-manager": "controller manager",
    "kube-scheduler": "scheduler",
    "api-balancer": "API balancer",
    "api-vip": "API address",
    "kubelet": "kubelet",
    "kube-proxy": "kube-proxy",
    "flannel": "flannel",
}
_OF_NODES = ("node", "pods", "ClusterIP", "NodePort", "DNS")
# A run renews certificates thirty days before their end: one that is closer to it than this was left alone.
LATE_DAYS = 7


@dataclass(frozen=True)
class Verification:
    """All that was looked at. `failures` are what kept checks from being made, by host."""

    checks: tuple[Check, ...]
    failures: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = field(default=())

    @property
    def problems(self) -> list[str]:
        """A sentence for all that is wrong, with its host."""
        found = [f"{one.host}: {one.check}: {problem}" for one in self.checks for problem in one.problems]
        return found + [f"{host}: {message}" if host else message for host, message in self.failures]


def expected(host: Host, balancer: str = "none") -> tuple[str, ...]:
    """The checks that a verification makes on this host, in a cluster whose hosts reach the API so."""
    found = [*dict.fromkeys(_OF_SERVICES[name] for name in services(host, balancer)), "certificates"]
    if ETCD in host.groups:
        found += ["etcd backup"] if host.variables.get("etcd_backup_schedule", "daily") else []
        found += ["etcd holds what the API wrote"]
    if {CONTROL_PLANE, NODE} & set(host.groups):
        found += _OF_NODES
    return tuple(found)


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


def read(result: RunResult, hosts: Sequence[Host], balancer: str = "none") -> Verification:
    """What the tasks of playbooks/verify.yml returned, and which of the expected checks none of them made."""
    names = [host.name for host in hosts]
    checks: dict[tuple[str, str], Check] = {}
    cleaned = False
    for kind in (HostChecks, ClusterChecks, NetworkChecks, ClusterCleanup):
        answers, _ = result.results(kind, names)
        cleaned = bool(answers)
        for item in (item for answer in answers.values() for item in answer.checks):
            before = checks.setdefault((item.check, item.host), item)
            # An API server that doesn't answer says so twice: when pods are to be started, and when they are to go.
            problems = tuple(dict.fromkeys((*before.problems, *item.problems)))
            detail = item.detail or before.detail
            checks[item.check, item.host] = item.model_copy(update={"problems": problems, "detail": detail})
    failures = _failures(result, checks.values())
    failed = {host for host, _ in failures}
    for host in hosts:
        missing = [name for name in expected(host, balancer) if (name, host.name) not in checks]
        if missing and host.name not in failed:
            failures.append((host.name, f"not checked: {', '.join(missing)}. See the run log in {result.directory}"))
    if not cleaned and not failures:
        failures.append(("", f"whether the pods of the verification are deleted is unknown: {result.directory}"))
    order = {name: number for number, name in enumerate(CHECKS)}
    ordered = sorted(checks.values(), key=lambda one: (order.get(one.check, len(order)), names.index(one.host)))
    return Verification(tuple(ordered), tuple(failures), tuple(names))


def _failures(result: RunResult, checks: Iterable[Check]) -> list[tuple[str, str]]:
    """The run's failures, without the verdict of each host, which only repeats its problems."""
    told = {(one.host, line) for one in checks for text in one.problems for line in f"{one.check}: {text}".splitlines()}
    return [
        (failure.host, failure.message)
        for failure in result.failures
        if failure.unreachable or not all((failure.host, line) in told for line in failure.message.splitlines())
    ]


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
