"""What tasks return to the command: results of a declared kind and version, under one key of a task's result.

An action plugin builds one with `message`, `RunResult.results` in kubeinstall/events.py reads it. Both validate it: no
unknown keys, no conversions. A command names the hosts that it expects a result of, and fails where one is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kubeinstall.text import printable

__all__ = [
    "KEY",
    "KINDS",
    "CertificateList",
    "Check",
    "ClusterChecks",
    "ClusterCleanup",
    "Component",
    "DrainPlan",
    "EtcdBackup",
    "EtcdMember",
    "EtcdRemoval",
    "EtcdRestore",
    "HostChecks",
    "HostReset",
    "Leader",
    "NetworkChecks",
    "NodeRemoval",
    "RebootHost",
    "RebootPlan",
    "RebootRoll",
    "Rebooted",
    "RefusedError",
    "Result",
    "Status",
    "message",
    "messages",
    "parse",
]

# In the result of a task; a task in a loop has one in each of its items.
KEY = "kubeinstall"


class RefusedError(ValueError):
    """Why a message is not a result of the expected kind and version."""


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Result(_Form):
    """A subclass for each kind. Its version changes with its fields."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1


R = TypeVar("R", bound=Result)


def message(kind: type[Result], **fields: Any) -> dict[str, Any]:
    """The part of a task's result that holds this one; `fields` are plain values, as JSON has them."""
    _validated(kind, fields)
    return {KEY: {"kind": kind.kind, "version": kind.version, **fields}}


def messages(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The messages in a task's result, those of a loop's items too."""
    found = [result.get(KEY)]
    items = result.get("results")
    found += [item.get(KEY) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    yield from (one for one in found if isinstance(one, Mapping))


def parse(kind: type[R], told: Mapping[str, Any]) -> R:
    """A message as what it holds. Raises RefusedError."""
    if told.get("version") != kind.version:
        raise RefusedError(f"version {told.get('version')!r} of {kind.kind}, and not {kind.version}")
    return _validated(kind, {key: value for key, value in told.items() if key not in ("kind", "version")})


def _validated(kind: type[R], fields: Mapping[str, Any]) -> R:
    try:
        return kind.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = printable(".".join(map(str, first["loc"])))[:100]
        raise RefusedError(f"{kind.kind} {place}: {first['msg'][:200]}") from None


class Component(_Form):
    """One component on a host. `unit` is null for one without a service; `seconds` is how long it has been active."""

    name: str
    versions: Mapping[str, str]
    unit: str | None
    state: str
    enabled: bool
    restarts: int
    seconds: float
    problem: str


class Leader(_Form):
    """The instance that leads a service by its Lease; `problem` says why none does."""

    service: str
    holder: str
    problem: str


class EtcdAlarm(_Form):
    """`member` is etcd's own id, in hexadecimal."""

    member: str
    alarm: str


class EtcdMember(_Form):
    """A member as it answers by itself, without a quorum too. `leader`: it knows one; all alarms, of others too.

    Where it does not answer, `identity` is empty and `problem` says why.
    """

    identity: str
    leader: bool
    learner: bool
    alarms: tuple[EtcdAlarm, ...]
    problem: str


class Status(Result):
    """A host's components, and its member of etcd.

    Of a control plane also the API's table of nodes and the services' leaders, or in `api` why they are not known.
    """

    kind: ClassVar = "status"

    components: tuple[Component, ...]
    nodes: tuple[Mapping[str, str], ...] | None
    leaders: tuple[Leader, ...]
    api: str
    member: EtcdMember | None


class Certificate(_Form):
    """As kubeinstall/certs.py describes it."""

    component: str
    path: str
    kind: str
    subject: str
    authority: str
    expires: str
    days: int | None
    problem: str


class CertificateList(Result):
    """The certificates on a host, CAs aside."""

    kind: ClassVar = "certificates"

    certificates: tuple[Certificate, ...]


class Check(_Form):
    """One thing that was looked at on one host: sentences for what is wrong, and what else is worth knowing."""

    check: str
    host: str
    problems: tuple[str, ...]
    detail: str


class _Checks(Result):
    checks: tuple[Check, ...]


class HostChecks(_Checks):
    """The components and certificates of a host."""

    kind: ClassVar = "host-checks"


class ClusterChecks(_Checks):
    """Nodes, DNS, and the pods that were started for the verification; one result for the cluster."""

    kind: ClassVar = "cluster-checks"


class NetworkChecks(_Checks):
    """What a host and its pod reach, and what its etcd member holds."""

    kind: ClassVar = "network-checks"


class ClusterCleanup(_Checks):
    """The pods of the verification are deleted; one result for the cluster."""

    kind: ClassVar = "cluster-cleanup"


class NodeRemoval(Result):
    """What the removal of a node costs; `silent` where its kubelet does not report."""

    kind: ClassVar = "node-removal"

    there: bool
    silent: bool
    pods: tuple[str, ...]
    lost: tuple[str, ...]
    empty_dirs: tuple[str, ...]


class EtcdRemoval(Result):
    """The changes by which an etcd member is removed; none where it is no member."""

    kind: ClassVar = "etcd-removal"

    changes: tuple[str, ...]


class EtcdBackups(_Form):
    """The backups that stay on a host."""

    directory: str
    count: int
    newest: str


class HostReset(Result):
    """What is removed from a host, and what stays."""

    kind: ClassVar = "host-reset"

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    backups: EtcdBackups


class BegunReboot(_Form):
    """A host that an earlier run was to reboot: out of which boot, since when, and whether it is done."""

    boot: str
    at: str
    done: bool


class RebootRoll(Result):
    """The hosts of a rolling reboot that did not end; one result for the cluster."""

    kind: ClassVar = "reboot-roll"

    roll: Mapping[str, BegunReboot]


class RebootPlan(Result):
    """The hosts that this run is to reboot; one result for the cluster."""

    kind: ClassVar = "reboot-plan"

    hosts: tuple[str, ...]


class RebootHost(Result):
    """A host that can be rebooted; `rebooted`: it was already, by a run that did not end."""

    kind: ClassVar = "reboot-host"

    rebooted: bool


class DrainPlan(Result):
    """What becomes of a node's pods when it is drained before its reboot."""

    kind: ClassVar = "drain-plan"

    pods: tuple[str, ...]
    empty_dirs: tuple[str, ...]
    staying: tuple[str, ...]
    silent: bool
    alone: bool
    cordoned: bool


class Rebooted(Result):
    """A host that was rebooted, is ready and, if it is a node, takes pods."""

    kind: ClassVar = "rebooted"

    changes: tuple[str, ...]


class EtcdBackup(Result):
    """A verified snapshot on this machine; one result for the cluster."""

    kind: ClassVar = "etcd-backup"

    file: str


class EtcdRestore(Result):
    """A member has the restored data; `kept` is where its former data is, empty where there was none."""

    kind: ClassVar = "etcd-restore"

    kept: str


KINDS: tuple[type[Result], ...] = (
    *(Status, CertificateList, HostChecks, ClusterChecks, NetworkChecks, ClusterCleanup),
    *(NodeRemoval, EtcdRemoval, HostReset, RebootRoll, RebootPlan, RebootHost, DrainPlan, Rebooted),
    *(EtcdBackup, EtcdRestore),
)
