"""How a cluster fares: each host's components and the API's nodes, asked in one round trip to each host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeinstall import runs
from kubeinstall.cluster.balancer import LOCAL, VIP
from kubeinstall.errors import RunError
from kubeinstall.events import Event, RunResult
from kubeinstall.paths import playbook

if TYPE_CHECKING:
    from kubeinstall.cluster import Cluster, Host

__all__ = ["Status", "as_json", "ask", "judge", "services", "show"]

TASK = "Ask the host of its components, a control plane also of the nodes"
# The services that a host of each group runs, in the order in which they depend on each other.
_NODE = ("container-engine", "docker", "cri-dockerd", "api-balancer", "kubelet", "kube-proxy", "flannel")
_SERVICES: Mapping[str, tuple[str, ...]] = {
    "etcd": ("etcd",),
    "control_plane": ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "api-vip", *_NODE),
    "node": _NODE,
}
# Those that run only where hosts reach the API so.
_OF_BALANCER = {"api-balancer": LOCAL, "api-vip": VIP}
# Those of one container engine, by its name in the inventory.
_OF_ENGINE = {"container-engine": "containerd", "docker": "docker", "cri-dockerd": "docker"}
_COLUMNS = tuple(dict.fromkeys(name for group in ("etcd", "control_plane", "node") for name in _SERVICES[group]))


@dataclass(frozen=True)
class Status:
    """What was found. `hosts` holds each host's components by name (None for a host that did not answer), `nodes` the
    API's table by node name, and `problems` a sentence for all that is not as it should be. `services` are those that
    each host should run."""

    cluster: str
    services: Mapping[str, tuple[str, ...]]
    hosts: Mapping[str, Mapping[str, Mapping[str, Any]] | None]
    nodes: Mapping[str, Mapping[str, str]]
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
    answers = result.returned(TASK)
    found: dict[str, Mapping[str, Mapping[str, Any]] | None] = {
        host.name: {one["name"]: one for one in answers[host.name]["components"]} if host.name in answers else None
        for host in hosts
    }
    tables = [answer["nodes"] for answer in answers.values() if answer["nodes"] is not None]
    nodes = {row["Name"]: row for row in tables[0]} if tables else {}
    problems = [f"{failure.host}: {failure.message}" for failure in result.failures]
    if answers and not any(found.values()):
        problems.append("no host has a component of ours: the cluster is not installed yet")
    else:
        problems += [
            problem for host in hosts for problem in _host_problems(host.name, wanted[host.name], found[host.name])
        ]
        problems += [f"{host}: {answer['api']}" for host, answer in answers.items() if answer["api"]]
        if tables:
            problems += _node_problems(hosts, nodes)
    return Status(name, wanted, found, nodes, tuple(problems))


def services(host: Host, balancer: str = "none") -> tuple[str, ...]:
    """The services that this host should run, in a cluster whose hosts reach the API so."""
    wanted = {name for group in host.groups for name in _SERVICES.get(group, ())}
    engine = host.container_engine
    return tuple(
        name
        for name in _COLUMNS
        if name in wanted and _OF_BALANCER.get(name, balancer) == balancer and _OF_ENGINE.get(name, engine) == engine
    )


def _host_problems(
    host: str, wanted: Sequence[str], components: Mapping[str, Mapping[str, Any]] | None
) -> Iterator[str]:
    if components is None:
        return
    for name in wanted:
        one = components.get(name)
        if one is None:
            yield f"{host}: {name} is not installed"
        elif one["problem"]:
            yield f"{host}: {one['problem']}"
        elif one["state"] != "active":
            yield f"{host}: {one['unit']} is {one['state'] or 'not there'} (see journalctl -u {one['unit']} there)"
        elif not one["enabled"]:
            yield f"{host}: {one['unit']} is not enabled: it will not come back after a reboot"
    # Others, the backups' timer for one, count where they say what is wrong with them.
    for name, one in components.items():
        if name not in wanted and one["problem"]:
            yield f"{host}: {one['problem']}"


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
            host: None if components is None else list(components.values()) for host, components in status.hosts.items()
        },
        "nodes": list(status.nodes.values()),
        "problems": list(status.problems),
    }


def show(console: Console, status: Status, hosts: Sequence[Host]) -> None:
    """A row for each host: its node's state, and its services with their versions, in red where something is wrong."""
    table = Table("host", "node", "components", box=None, pad_edge=False, header_style="dim")
    for host in hosts:
        components, node = status.hosts[host.name], status.nodes.get(host.name)
        if components is None:
            table.add_row(Text(host.name, "bold"), Text("no answer", "red"))
            continue
        state = Text(node["Status"], "green" if _ready(node) else "red") if node else Text("-", "dim")
        cells = (_cell(name, components.get(name)) for name in status.services[host.name])
        table.add_row(Text(host.name, "bold"), state, Text(", ").join(cells))
    console.print(table, soft_wrap=not console.is_terminal)
    for problem in status.problems:
        console.print(Text(problem, "red"), soft_wrap=True)
    if not status.problems:
        console.print(Text(f"The cluster {status.cluster} runs: every component is active, every node Ready", "green"))


def _cell(name: str, component: Mapping[str, Any] | None) -> Text:
    if component is None:
        return Text(f"{name} missing", "red")
    if component["problem"] or component["state"] != "active":
        return Text(f"{name} {component['state'] or 'damaged'}", "red")
    # Of the program that the service is named after, or the component; Docker's packages have versions of their own.
    versions, program = component["versions"], str(component["unit"]).removesuffix(".service")
    return Text(f"{name} {versions.get(program) or versions.get(name, '')}".rstrip())
