"""What a host answers of etcd, of leaders and of restarts: real members, a real API server, a real journal's words."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import (
    etcd,
    leases,
    status,
    units,
    verify_host,
)
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.cluster import Host as ClusterHost
from kubeinstall.events import Event, HostStats, RunResult
from kubeinstall.results import Status, message
from kubeinstall.status import Status as Judged
from kubeinstall.status import judge
from tests.lab import eventually
from tests.unit.hostside.conftest import free_ports
from tests.unit.hostside.test_spare import Members, members

__all__ = ["members"]

SERVICE = "kube-controller-manager"
LEASES = leases.PATH


def put_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def units_run(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no systemd where unit tests run."""
    folder = tmp_path_factory.mktemp("bin")
    put_program(folder / "systemctl", "echo ActiveState=active")
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def judged(*answers: dict[str, Any]) -> Judged:
    """A cluster whose three etcd members are on hosts of their own, and these answers of them in their order."""
    hosts = [
        ClusterHost(name=name, address="192.0.2.1", groups=("etcd",), container_engine="containerd")
        for name in ("one", "two", "three")
    ]
    events = tuple(
        Event("ok", 0.0, host=host.name, result=message(Status, **answer))
        for host, answer in zip(hosts, answers, strict=False)
    )
    return judge("lab", hosts, RunResult("ok", {"one": HostStats()}, (), events, 1.0, Path()))


def answer(host: Host) -> dict[str, Any]:
    """A host's answer, with a component of which nothing is wrong."""
    found: dict[str, Any] = json.loads(json.dumps(status.main({"root": host.root, "leases": [], "etcd": True})))
    component = {"name": "etcd", "versions": {}, "unit": "etcd", "state": "active", "enabled": True}
    return found | {"components": [{**component, "restarts": 0, "seconds": 1.0, "problem": ""}]}


def test_a_quorum_that_is_lost_is_told_at_once(members: Members) -> None:
    whole = answer(members.host)
    assert judged(whole, whole, whole).problems == ("no API server has answered: the nodes are unknown",)
    for name in ("two", "three"):
        members.processes[name].kill()
        members.processes[name].wait()
    eventually(lambda: not etcd.own_member(members.host, 2)["leader"], 30, "the member knows that it is alone")
    before = time.monotonic()
    alone = answer(members.host)
    assert time.monotonic() - before < status.SECONDS + 1
    assert judged(alone).problems[0] == "etcd has no quorum: 1 of 3 members is healthy"
    members.processes["one"].kill()
    members.processes["one"].wait()
    before = time.monotonic()
    silent = answer(members.host)
    assert time.monotonic() - before < status.SECONDS + 2
    first, second, *_ = judged(silent, silent, silent).problems
    assert first == "etcd has no quorum: 0 of 3 members are healthy"
    assert second == "one: its etcd member is not healthy: no answer within 2 s"


def test_an_alarm_is_told_with_its_member(members: Members, tmp_path: Path) -> None:
    # The quota is the process's own: fill the store over that of a member that is started again with a small one.
    process = members.processes["one"]
    command = list(map(str, process.args)) if isinstance(process.args, list) else []
    process.terminate()
    process.wait()
    with (tmp_path / "small.log").open("wb") as log:
        small = subprocess.Popen([*command, f"--quota-backend-bytes={1 << 16}"], stdout=log, stderr=log)
    try:
        eventually(lambda: etcd.own_member(members.host, 2)["leader"], 30, "the member is back")

        def full() -> bool:
            try:
                etcd.told(members.host, "put", "key", "x" * 100_000)
            except etcd.HostError as error:
                return "space exceeded" in str(error)
            return False

        eventually(full, 30, "the quota is reached")
        eventually(lambda: etcd.own_member(members.host, 2)["alarms"], 30, "the alarm is raised")
        found = judged(answer(members.host)).problems
        assert found[0].startswith("one: etcd alarm NOSPACE: its database has reached its quota")
        component = {"check": "etcd", "unit": "etcd.service", "ready": {}, "alarms": True}
        assert "etcd alarm NOSPACE" in verify_host.work_problems(members.host, component, None)
    finally:
        small.terminate()
        small.wait()


@pytest.fixture
def lease(api: API) -> Any:
    """Has the Lease renewed so many seconds ago; None: there is none."""
    path = f"{LEASES}/{SERVICE}"

    def put(age: float | None, holder: str = "cp1_uid", duration: int = 15) -> None:
        if api.get(path):
            api.request("DELETE", path)
        if age is not None:
            at = f"{datetime.now(UTC) - timedelta(seconds=age):%Y-%m-%dT%H:%M:%S.%fZ}"
            spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": at, "acquireTime": at}
            made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": SERVICE}}
            api.request("POST", LEASES, {**made, "spec": {key: value for key, value in spec.items() if value}})

    yield put
    put(None)


def access(api_access: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": api_access["server"],
        "ca": api_access["authority"],
        **{key: api_access[key] for key in ("certificate", "key")},
    }


@pytest.mark.parametrize(
    ("age", "holder", "problem"),
    [
        (None, "", "has no leader: none was ever elected"),
        (3, "cp1_uid", ""),
        (14, "", ""),
        (40, "cp1_uid", "has no leader: cp1, the last one, renewed its lease 4"),
        (40, "", "has no leader: the last one released its lease 4"),
    ],
)
def test_a_service_without_a_leader(
    age: float | None, holder: str, problem: str, lease: Callable[..., None], api_access: dict[str, Any]
) -> None:
    lease(age, holder)
    found = leases.leader(Host(), access(api_access), SERVICE, 2)
    assert (found["holder"], found["problem"] == "") == (holder, problem == "")
    assert problem in found["problem"]
    told = status.main({"api": access(api_access), "leases": [SERVICE], "etcd": False})
    assert [one["service"] for one in told["leaders"]] == [SERVICE]
    assert told["nodes"] is not None
    component = {"check": "controller manager", "unit": "none.service", "ready": {}, "lease": SERVICE}
    assert (verify_host.work_problems(Host(), component, access(api_access)) == []) == (problem == "")


def test_an_api_that_is_not_there_is_not_waited_for(api_access: dict[str, Any]) -> None:
    (port,) = free_ports(1)
    api = {**access(api_access), "url": f"https://127.0.0.1:{port}"}
    found = status.main({"api": api, "leases": [SERVICE], "etcd": False})
    assert (found["nodes"], found["leaders"]) == (None, [])
    assert "does not answer" in found["api"]
    component = {"check": "controller manager", "unit": "none.service", "ready": {}, "lease": SERVICE}
    assert "whether it has a leader is unknown" in verify_host.work_problems(Host(), component, api)[0]


@pytest.mark.parametrize(
    ("state", "ran", "between", "loop"),
    [
        ({"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "1"}, 0, (), True),
        ({"ActiveState": "active", "NRestarts": "4"}, 20, (45,), True),
        ({"ActiveState": "active", "NRestarts": "4"}, 20, (5,), False),
        ({"ActiveState": "active", "NRestarts": "2"}, 90, (), False),
        ({"ActiveState": "active", "NRestarts": "2"}, 20, (7200,), False),
        ({"ActiveState": "active", "NRestarts": "1"}, 1, (), False),
        ({"ActiveState": "failed", "NRestarts": "5"}, 1, (45,), False),
    ],
    ids=["waits", "dies each 45 s", "came up", "without a journal", "failed long ago", "once", "given up"],
)
def test_a_restart_loop(
    state: dict[str, str], ran: float, between: tuple[float, ...], loop: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    now = time.time()
    lines = [f"{now - ran - sum(between[n:])} host systemd[1]: Scheduled" for n in range(len(between) + 1)]
    (tmp_path / "restarts").write_text("\n".join(lines if between else ()))
    script = (
        '#!/bin/sh\ncase "$*" in *MESSAGE_ID*) cat "${0%/*}/restarts" ;; *) echo "cidr is out of the range" ;; esac\n'
    )
    (tmp_path / "journalctl").write_text(script)
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    start = int((time.clock_gettime(time.CLOCK_MONOTONIC) - ran) * 1e6)
    told = units.restart_loop(Host(), "x.service", {**state, "ExecMainStartTimestampMonotonic": str(start)})
    assert bool(told) == loop
    if loop:
        count = state["NRestarts"]
        plural = "" if count == "1" else "s"
        assert told == f"x.service is in a restart loop ({count} restart{plural} by systemd): cidr is out of the range"
