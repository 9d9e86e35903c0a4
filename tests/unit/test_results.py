"""Each command fails where one of the results that it reads is missing, of another version, or not of its form."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeinstall import cli, results, runs, verify
from kubeinstall.cluster import Cluster
from kubeinstall.cluster.services import services
from kubeinstall.errors import RunError
from kubeinstall.events import Event, HostStats, RunResult
from kubeinstall.results import Result
from kubeinstall.status import LED

ACTIONS = Path(__file__).parents[2] / "plugins" / "action"
HOSTS = """\
etcd: {hosts: {cp1: , cp2: , cp3: }}
control_plane:
  hosts: {cp1: {ansible_host: 192.0.2.11}, cp2: {ansible_host: 192.0.2.12}, cp3: {ansible_host: 192.0.2.13}}
node: {hosts: {n1: {ansible_host: 192.0.2.21}, n2: {ansible_host: 192.0.2.22}}}
"""
SERVERS, NODES = ("cp1", "cp2", "cp3"), ("n1", "n2")
ALL = (*SERVERS, *NODES)
NETWORK = ("pods", "ClusterIP", "NodePort", "DNS", "etcd holds what the API wrote")
POD = {"pods": ["a/web"], "empty_dirs": []}
BACKUPS = {"directory": "/b", "count": 0, "newest": ""}


@dataclass(frozen=True)
class Told:
    """A result of a host; `looped`: that of an item in a loop."""

    host: str
    kind: type[Result]
    fields: dict[str, Any]
    looped: bool = False

    def event(self, change: Callable[[dict[str, Any]], None]) -> Event:
        result = results.message(self.kind, **json.loads(json.dumps(self.fields)))
        change(result)
        return Event("ok", 0.0, host=self.host, result={"results": [{}, result]} if self.looped else result)


def status(cluster: Cluster) -> Iterator[Told]:
    table = [{"Name": name, "Status": "Ready"} for name in ALL]
    leaders = [{"service": name, "holder": "cp1_x", "problem": ""} for name in LED]
    for host in cluster.hosts:
        components = [
            {"name": name, "versions": {}, "unit": name, "state": "active", "enabled": True, "restarts": 0,
             "seconds": 9.0, "problem": ""}
            for name in services(host, cluster.api_balancer)
        ]  # fmt: skip
        server = host.name in SERVERS
        member = {"identity": host.name, "leader": True, "learner": False, "alarms": [], "problem": ""}
        told = {"components": components, "nodes": table if server else None, "leaders": leaders if server else []}
        yield Told(host.name, results.Status, {**told, "api": "", "member": member if server else None})


def verification(cluster: Cluster) -> Iterator[Told]:
    def checks(host: str, names: Sequence[str]) -> list[dict[str, Any]]:
        return [{"check": name, "host": host, "problems": [], "detail": ""} for name in names]

    for host in cluster.hosts:
        expected = verify.expected(host, cluster.api_balancer)
        own = [name for name in expected if name not in (*NETWORK, "node")]
        yield Told(host.name, results.HostChecks, {"checks": checks(host.name, own)})
        network = [name for name in expected if name in NETWORK]
        yield Told(host.name, results.NetworkChecks, {"checks": checks(host.name, network)})
    nodes = [one for name in ALL for one in checks(name, ["node"])]
    yield Told("cp1", results.ClusterChecks, {"checks": nodes})
    yield Told("cp1", results.ClusterCleanup, {"checks": []})


def reset(*hosts: str) -> list[Told]:
    return [Told(name, results.HostReset, {"removed": [], "kept": [], "backups": BACKUPS}) for name in hosts]


def removal(*kinds: type[Result]) -> list[Told]:
    fields: dict[type[Result], dict[str, Any]] = {
        results.NodeRemoval: {"there": True, "silent": False, "lost": [], **POD},
        results.EtcdRemoval: {"changes": ["remove cp3"]},
    }
    return [Told("cp3" if results.EtcdRemoval in kinds else "n2", kind, fields[kind]) for kind in kinds]


def reboot() -> Iterator[Told]:
    yield Told("cp1", results.RebootRoll, {"roll": {}}, looped=True)
    for name in ALL:
        yield Told(name, results.RebootHost, {"rebooted": False})
        drain = {**POD, "staying": [], "silent": False, "alone": False, "cordoned": False}
        yield Told(name, results.DrainPlan, drain)
        yield Told(name, results.Rebooted, {"changes": []})
    yield Told("n1", results.RebootPlan, {"hosts": list(ALL)})


def restore() -> list[Told]:
    return [Told(name, results.EtcdRestore, {"kept": "/k"}) for name in SERVERS]


def backup() -> list[Told]:
    return [Told("cp1", results.EtcdBackup, {"file": "/b"})]


# {command: the results of its run on this cluster}
COMMANDS: dict[str, Callable[[Cluster], Any]] = {
    "status": status,
    "status --json": status,
    "verify": verification,
    "verify --json": verification,
    "certs": lambda _: [Told(name, results.CertificateList, {"certificates": []}) for name in ALL],
    "node remove n2 --check": lambda _: [*removal(results.NodeRemoval)],
    "node remove n2 --yes": lambda _: [*removal(results.NodeRemoval), *reset("n2")],
    "control-plane remove cp3 --yes": lambda _: [*removal(results.EtcdRemoval, results.NodeRemoval), *reset("cp3")],
    "etcd remove cp3 --yes": lambda _: [*removal(results.EtcdRemoval), *reset("cp3")],
    "reboot --yes": lambda _: reboot(),
    "reboot --check": lambda _: (one for one in reboot() if one.kind is not results.Rebooted),
    "reset --check": lambda _: reset(*ALL),
    "reset --yes": lambda _: reset(*ALL),
    "etcd backup --check": lambda _: backup(),
    "etcd restore BACKUP --check": lambda _: restore(),
    "etcd restore BACKUP --yes": lambda _: restore(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory")
    (path / "hosts.yml").write_text(HOSTS)
    (path / "backup").write_bytes(b"x")
    return path


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Cluster:
    return Cluster.load(folder / "hosts.yml")


@pytest.fixture
def call(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command, whose runs return these events; (exit code, all that it printed)."""
    monkeypatch.setattr(runs, "alone", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(Cluster, "load", lambda _: cluster)
    events: list[Event] = []
    stats = {name: HostStats(ok=1) for name in ALL}
    monkeypatch.setattr(runs, "run", lambda *_, **__: RunResult("ok", stats, (), tuple(events), 1.0, folder))

    def run(command: str, *told: Event) -> tuple[int, str]:
        events[:] = told
        words = command.replace("BACKUP", str(folder / "backup")).split()
        monkeypatch.setattr(sys, "argv", ["kubeinstall", *words, "-i", str(folder)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def right(_result: dict[str, Any]) -> None:
    return


def of_another_version(result: dict[str, Any]) -> None:
    result[results.KEY]["version"] += 1


def with_one_key_more(result: dict[str, Any]) -> None:
    result[results.KEY]["more"] = 1


def of_another_kind(result: dict[str, Any]) -> None:
    result[results.KEY]["kind"] = "other"


def without_a_key(result: dict[str, Any]) -> None:
    result[results.KEY].popitem()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_succeeds_with_all_of_its_results(command: str, call: Any, cluster: Cluster) -> None:
    code, printed = call(command, *(one.event(right) for one in COMMANDS[command](cluster)))
    assert code == 0, printed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_fails_without_any_one_of_its_results(command: str, call: Any, cluster: Cluster) -> None:
    told = list(COMMANDS[command](cluster))
    for missing in told:
        code, printed = call(command, *(one.event(right) for one in told if one is not missing))
        assert code == 1, (missing, printed)
        assert missing.host in printed or "of the run" in printed or "unknown" in printed, (missing, printed)
    assert call(command)[0] == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("change", [of_another_version, with_one_key_more, of_another_kind, without_a_key])
def test_a_command_refuses_a_result_of_another_form(
    command: str, change: Callable[[dict[str, Any]], None], call: Any, cluster: Cluster
) -> None:
    told = list(COMMANDS[command](cluster))
    for kind in {one.kind for one in told}:
        changed = next(one for one in told if one.kind is kind)
        code, printed = call(command, *(one.event(change if one is changed else right) for one in told))
        assert code == 1, (kind, printed)


def test_every_kind_has_a_command_that_reads_it_and_an_action_that_returns_it(cluster: Cluster) -> None:
    assert {one.kind for told in COMMANDS.values() for one in told(cluster)} == set(results.KINDS)
    assert len({kind.kind for kind in results.KINDS}) == len(results.KINDS)
    sources = "".join(path.read_text() for path in ACTIONS.glob("*.py"))
    assert [kind for kind in results.KINDS if f"{kind.__name__}, " not in sources] == []
    assert [kind for kind in results.KINDS if {"kind", "version"} & kind.model_fields.keys()] == []


def test_results_of_a_real_run(tmp_path: Path) -> None:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"one": local, "two": local}}}))
    task = {"name": "Any title", "kubeinstall.cluster.certificates": {}, "loop": [1, 2]}
    task["when"] = "inventory_hostname == 'one'"
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    ended = runs.run([tmp_path / "play.yml"], tmp_path / "hosts.yml")
    assert ended.status == "ok"
    found, problems = ended.results(results.CertificateList, ["one", "two"])
    assert list(found) == ["one"]
    assert problems == [f"two: no result (certificates) of this host. See the run log in {ended.directory}"]
    with pytest.raises(RunError, match="two: no result"):
        ended.required(results.CertificateList, ["one", "two"])
    with pytest.raises(RunError, match=r"no result \(status\)"):
        ended.one(results.Status)
