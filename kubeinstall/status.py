"""How a cluster fares: each host's components and the API's nodes, asked in one round trip to each host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeinstall import runs
from kubeinstall.cluster.services import services
from kubeinstall.errors import RunError
from kubeinstall.events import Event, RunResult
from kubeinstall.paths import playbook
from kubeinstall.results import Component
from kubeinstall.results import Status as HostStatus

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster, Host

__all__ = ["Status", "as_json", "ask", "judge", "show"]

# The services that one instance leads, by a Lease.
LED = ("kube-controller-manager", "kube-scheduler")
_ALARMS = {
    "NOSPACE": "its database has reached its quota, and etcd refuses writes. Make room: docs/recovery.md",
    "CORRUPT": "its data differs from the other members'. Replace the member: kubeinstall etcd replace HOST",
}


@dataclass(frozen=True)
class Status:
    """What was found. `services` are those that each host should run, `hosts` holds each host's answer (None for a host
    without one), `nodes` the API's table by node name, `leaders` the leader's host by service, and `problems` a
    sentence for all that is not as it should be."""

    cluster: str
    services: Mapping[str, tuple[str, ...]]
    hosts: Mapping[str, HostStatus | None]
    nodes: Mapping[str, Mapping[str, str]]
    leaders: Mapping[str, str]
    problems: tuple[str, ...]


def ask(cluster: Cluster, on_event: Callable[[Event], None] | None = None) -> Status:
    """Asks every host. A host that does not answer is a problem; RunError is for a run that did not come about."""
    result = runs.run([playbook("status")], cluster.inventory, on_event=on_event)
    if result.status == "interrupted" or not result.stats:
        raise RunError("the hosts were not asked", remedy="\n".join(one.message for one in result.failures))
    return judge(cluster.name, cluster.hosts, result, cluster.api_balancer)


def judge(name: str, hosts: Sequence[Host], result: RunResult, balancer: str = "none") -> Status:
    """What the hosts' answers mean; `balancer` is how they reach the API."""
    wanted = {host.name: services(host, balancer) for host in hosts}
    answers, problems = result.results(HostStatus, [host.name for host in hosts])
    found = {host.name: answers.get(host.name) for host in hosts}
    tables = [answer.nodes for answer in answers.values() if answer.nodes is not None]
    nodes = {row["Name"]: row for row in tables[0]} if tables else {}
    leaders: dict[str, str] = {}
    if answers and not any(answer.components for answer in answers.values()):
        problems.append("no host has a component of ours: the cluster is not installed yet")
    else:
        problems = [*_etcd_problems(hosts, answers), *problems]
        for host in hosts:
            if answer := answers.get(host.name):
                problems += _host_problems(host, wanted[host.name], answer)
        leaders, unled = _leaders(answers.values())
        problems += unled.values()
        unknown = [one for one in _elected(hosts) if tables and one not in (*leaders, *unled)]
        problems += [f"whether {service} has a leader is unknown" for service in unknown]
        problems += _node_problems(hosts, nodes) if tables else ["no API server has answered: the nodes are unknown"]
    return Status(name, wanted, found, nodes, leaders, tuple(problems))


def _etcd_problems(hosts: Sequence[Host], answers: Mapping[str, HostStatus]) -> Iterator[str]:
    listed = [host.name for host in hosts if "etcd" in host.groups]
    members = {name: answers[name].member for name in listed if name in answers}
    healthy = {name: one for name, one in members.items() if one and not one.problem}
    if not members:
        return
    count = f"{len(healthy)} of {len(listed)} members {'is' if len(healthy) == 1 else 'are'} healthy"
    if not healthy and len(members) < len(listed):
        yield f"whether etcd has a quorum is unknown: {count}, and not all of their hosts have answered"
    elif not any(one.leader for one in healthy.values()):
        enough = len(healthy) > len(listed) // 2
        cause = ", and they elect no leader: check port 2380 between their hosts" if enough else ""
        yield f"etcd has no quorum: {count}{cause}"
    for name, one in members.items():
        if one is None:
            yield f"{name}: its etcd member was not asked"
        elif one.problem:
            yield f"{name}: its etcd member is not healthy: {one.problem}"
        elif not one.leader and any(other.leader for other in healthy.values()):
            yield f"{name}: its etcd member has no connection to the leader"
    names = {one.identity: name for name, one in healthy.items()}
    for alarm in dict.fromkeys(alarm for one in healthy.values() for alarm in one.alarms):
        where = names.get(alarm.member, f"etcd member {alarm.member}")
        yield f"{where}: etcd alarm {alarm.alarm}: {_ALARMS.get(alarm.alarm, 'see the journal of etcd there')}"


def _host_problems(host: Host, wanted: Sequence[str], answer: HostStatus) -> Iterator[str]:
    components = {one.name: one for one in answer.components}
    for name in wanted:
        one = components.get(name)
        if one is None:
            yield f"{host.name}: {name} is not installed"
        elif one.problem:
            yield f"{host.name}: {one.problem}"
        elif one.state != "active":
            yield f"{host.name}: {one.unit} is {one.state or 'not there'} (see journalctl -u {one.unit} there)"
        elif not one.enabled:
            yield f"{host.name}: {one.unit} is not enabled: it will not come back after a reboot"
    # Others, the backups' timer for one, count where they say what is wrong with them.
    for name, one in components.items():
        if name not in wanted and one.problem:
            yield f"{host.name}: {one.problem}"
    if answer.api:
        yield f"{host.name}: {answer.api}"
    elif "control_plane" in host.groups and answer.nodes is None:
        yield f"{host.name}: its API server was not asked"


def _leaders(answers: Iterable[HostStatus]) -> tuple[dict[str, str], dict[str, str]]:
    """(the host of each service's leader, why another service has none).

    A host whose clock is ahead takes every Lease for an old one: the word of one that sees it renewed counts.
    """
    leaders: dict[str, str] = {}
    problems: dict[str, str] = {}
    for one in (one for answer in answers for one in answer.leaders):
        if one.problem:
            problems.setdefault(one.service, one.problem)
        else:
            leaders[one.service] = one.holder.partition("_")[0]
    return leaders, {service: problem for service, problem in problems.items() if service not in leaders}


def _elected(hosts: Sequence[Host]) -> list[str]:
    """Those of the services that elect a leader by the usual Lease."""
    changed = {
        name.removesuffix("_extra_arguments").replace("_", "-")
        for host in hosts
        for name, value in host.variables.items()
        if name.endswith("_extra_arguments") and any(str(flag).startswith("leader-elect") for flag in value or ())
    }
    return [service for service in LED if service not in changed]


def _node_problems(hosts: Sequence[Host], nodes: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for host in hosts:
        if not {"control_plane", "node"} & set(host.groups):
            continue
        if host.name not in nodes:
            yield f"{host.name}: the API knows no node of this name"
        elif not _ready(nodes[host.name]):
            yield f"{host.name}: the node is {nodes[host.name]['Status']}"


def _ready(node: Mapping[str, str]) -> bool:
    # A cordoned node reads Ready,SchedulingDisabled.
    return node["Status"].split(",")[0] == "Ready"


def as_json(status: Status) -> dict[str, Any]:
    """The same for programs."""
    return {
        "cluster": status.cluster,
        "hosts": {
            host: None if answer is None else [one.model_dump() for one in answer.components]
            for host, answer in status.hosts.items()
        },
        "etcd": {host: answer.member.model_dump() for host, answer in status.hosts.items() if answer and answer.member},
        "leaders": dict(status.leaders),
        "nodes": list(status.nodes.values()),
        "problems": list(status.problems),
    }


def show(console: Console, status: Status, hosts: Sequence[Host]) -> None:
    """A row for each host: its node's state, and its services with their versions, in red where something is wrong."""
    table = Table("host", "node", "components", box=None, pad_edge=False, header_style="dim")
    for host in hosts:
        answer, node = status.hosts[host.name], status.nodes.get(host.name)
        if answer is None:
            table.add_row(Text(host.name, "bold"), Text("no answer", "red"))
            continue
        state = Text(node["Status"], "green" if _ready(node) else "red") if node else Text("-", "dim")
        components = {one.name: one for one in answer.components}
        cells = (_cell(name, components.get(name)) for name in status.services[host.name])
        table.add_row(Text(host.name, "bold"), state, Text(", ").join(cells))
    console.print(table, soft_wrap=not console.is_terminal)
    for problem in status.problems:
        console.print(Text(problem, "red"), soft_wrap=True)
    if not status.problems:
        console.print(Text(f"The cluster {status.cluster} runs: every component is active, every node Ready", "green"))


def _cell(name: str, component: Component | None) -> Text:
    if component is None:
        return Text(f"{name} missing", "red")
    if component.state != "active":
        return Text(f"{name} {component.state or 'damaged'}", "red")
    if component.problem:
        return Text(f"{name} failing", "red")
    # Of the program that the service is named after, or the component; Docker's packages have versions of their own.
    versions, program = component.versions, str(component.unit).removesuffix(".service")
    return Text(f"{name} {versions.get(program) or versions.get(name, '')}".rstrip())
