"""What the hosts' answers mean, and what a host answers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import status as hostside
from rich.console import Console

from kubeinstall import status
from kubeinstall.cluster import Host
from kubeinstall.cluster.services import services
from kubeinstall.events import Event, Failure, HostStats, RunResult
from kubeinstall.results import Status, message

HOSTS = (
    Host(name="cp1", address="192.0.2.1", groups=("etcd", "control_plane"), container_engine="containerd"),
    Host(name="n1", address="192.0.2.2", groups=("node",), container_engine="containerd"),
)
NOTHING: dict[str, Any] = {"nodes": None, "leaders": [], "api": "", "member": None}
UNITS = {"container-engine": "containerd", "flannel": "flanneld"}


def component(name: str, **more: Any) -> dict[str, Any]:
    unit = UNITS.get(name, name)
    found = {"name": name, "unit": f"{unit}.service", "versions": {unit: "1.0"}, "state": "active", "enabled": True}
    return {**found, "restarts": 0, "seconds": 5.0, "problem": "", **more}


def answers() -> dict[str, dict[str, Any]]:
    nodes = [{"Name": "cp1", "Status": "Ready"}, {"Name": "n1", "Status": "Ready,SchedulingDisabled"}]
    made = {host.name: {"components": [component(one) for one in services(host)]} for host in HOSTS}
    member = {"identity": "1a", "leader": True, "learner": False, "alarms": [], "problem": ""}
    leaders = [{"service": name, "holder": "cp1_uid", "problem": ""} for name in status.LED]
    return {
        "cp1": {**made["cp1"], "nodes": nodes, "leaders": leaders, "api": "", "member": member},
        "n1": {**made["n1"], **NOTHING},
    }


def judged(found: dict[str, dict[str, Any]], *failures: Failure) -> status.Status:
    events = tuple(Event("ok", 0.0, host=host, result=message(Status, **one)) for host, one in found.items())
    stats = {host.name: HostStats(ok=1) for host in HOSTS}
    return status.judge("mine", HOSTS, RunResult("ok", stats, failures, events, 1.0, Path()))


def shown(found: status.Status) -> str:
    file = io.StringIO()
    status.show(Console(file=file, width=100), found, HOSTS)
    return file.getvalue()


def test_a_healthy_cluster() -> None:
    found = judged(answers())
    assert found.problems == ()
    text = shown(found)
    assert "kube-apiserver 1.0" in text
    assert "container-engine 1.0" in text
    assert "The cluster mine runs" in text
    assert json.loads(json.dumps(status.as_json(found)))["nodes"][0]["Name"] == "cp1"


def test_a_control_plane_runs_what_a_node_runs_and_more() -> None:
    assert services(HOSTS[1]) == ("container-engine", "kubelet", "kube-proxy", "flannel")
    docker = HOSTS[1].model_copy(update={"container_engine": "docker"})
    assert services(docker) == ("docker", "cri-dockerd", "kubelet", "kube-proxy", "flannel")
    assert set(services(HOSTS[0])) > {"etcd", "kube-apiserver", *services(HOSTS[1])}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "failed"}, "n1: kubelet.service is failed (see journalctl -u kubelet.service there)"),
        ({"state": ""}, "n1: kubelet.service is not there (see journalctl -u kubelet.service there)"),
        ({"enabled": False}, "n1: kubelet.service is not enabled: it will not come back after a reboot"),
        (
            {"problem": "/var/lib/kubeinstall/kubelet.json is damaged"},
            "n1: /var/lib/kubeinstall/kubelet.json is damaged",
        ),
        (None, "n1: kubelet is not installed"),
    ],
)
def test_what_is_wrong_with_a_component_is_said(change: dict[str, Any] | None, problem: str) -> None:
    found = answers()
    others = [one for one in found["n1"]["components"] if one["name"] != "kubelet"]
    found["n1"]["components"] = others if change is None else [*others, component("kubelet", **change)]
    told = judged(found)
    assert told.problems == (problem,)
    assert problem in shown(told)


def test_nodes_that_are_missing_or_not_ready() -> None:
    found = answers()
    found["cp1"]["nodes"] = [{"Name": "cp1", "Status": "NotReady"}]
    assert judged(found).problems == ("cp1: the node is NotReady", "n1: the API knows no node of this name")


def test_an_api_that_does_not_answer() -> None:
    found = answers()
    found["cp1"] |= {"nodes": None, "leaders": [], "api": "the API server at https://a does not answer: refused"}
    assert judged(found).problems == (
        "cp1: the API server at https://a does not answer: refused",
        "no API server has answered: the nodes are unknown",
    )


def test_hosts_without_a_cluster() -> None:
    empty = {host.name: {"components": [], **NOTHING} for host in HOSTS}
    assert judged(empty).problems == ("no host has a component of ours: the cluster is not installed yet",)


def test_a_host_that_does_not_answer() -> None:
    found = answers()
    del found["n1"]
    told = judged(found, Failure("no route", "n1", unreachable=True))
    assert told.problems == ("n1: no route",)
    assert "no answer" in shown(told)


def test_what_a_host_answers(tmp_path: Path) -> None:
    records = tmp_path / "var" / "lib" / "kubeinstall"
    records.mkdir(parents=True)
    (records / "host.json").write_text(json.dumps({"unit": None, "versions": {}}))
    (records / "etcd.json").write_text("{")
    (records / "originals").mkdir()
    api = {"url": "https://127.0.0.1:1", "ca": "/none", "certificate": "/none", "key": "/none"}

    answer = hostside.main({"root": str(tmp_path), "api": api, "leases": ["kube-scheduler"], "etcd": False})

    assert [one["name"] for one in answer["components"]] == ["etcd", "host"]
    assert "etcd.json is damaged" in answer["components"][0]["problem"]
    assert answer["nodes"] is None
    assert answer["api"] == "the API can't be asked: /none is not there yet"
    assert hostside.main({"root": str(tmp_path / "bare"), "api": None, "leases": [], "etcd": False})["components"] == []


def test_a_backup_that_failed_is_a_problem() -> None:
    found = answers()
    timer = {"unit": "etcd-backup.timer", "problem": "etcd-backup.service failed: the disk is full"}
    found["cp1"]["components"].append(component("etcd-backup", **timer))
    assert judged(found).problems == ("cp1: etcd-backup.service failed: the disk is full",)


def etcd(**more: Any) -> dict[str, Any]:
    return {"identity": "1a", "leader": True, "learner": False, "alarms": [], "problem": "", **more}


THREE = tuple(
    Host(name=f"cp{n}", address=f"192.0.2.{n}", groups=("etcd", "control_plane"), container_engine="containerd")
    for n in (1, 2, 3)
)
UNLED = "kube-controller-manager has no leader: cp3, the last one, renewed its lease 40 s ago"


def told(*members: dict[str, Any] | None, failed: str = "", leaders: tuple[str, ...] = ("", "", "")) -> list[str]:
    """The problems of three control planes with these members, and of each the problem with the controller manager."""
    table = [{"Name": host.name, "Status": "Ready"} for host in THREE]
    events = []
    for host, member, problem in zip(THREE, members, leaders, strict=False):
        led = [{"service": name, "holder": "cp3_uid", "problem": ""} for name in status.LED]
        led[0]["problem"] = problem
        answer = {"components": [component(one) for one in services(host)], "nodes": table, "leaders": led, "api": ""}
        if host.name != failed:
            events.append(Event("ok", 0.0, host=host.name, result=message(Status, **answer, member=member)))
    failures = (Failure("no route", failed, unreachable=True),) if failed else ()
    stats = {host.name: HostStats(ok=1) for host in THREE}
    return list(status.judge("mine", THREE, RunResult("ok", stats, failures, tuple(events), 1.0, Path())).problems)


def test_members_that_are_a_quorum() -> None:
    assert told(etcd(), etcd(), etcd()) == []
    # A host that is down is no loss of the quorum that the others tell of.
    assert told(etcd(), etcd(), None, failed="cp3") == ["cp3: no route"]
    assert told(etcd(), None, None, failed="cp3") == ["cp2: its etcd member was not asked", "cp3: no route"]


def test_members_that_are_no_quorum() -> None:
    silent = etcd(identity="", leader=False, problem="no answer within 2 s")
    said = "its etcd member is not healthy: no answer within 2 s"
    assert told(etcd(leader=False), silent, silent) == [
        "etcd has no quorum: 1 of 3 members is healthy",
        f"cp2: {said}",
        f"cp3: {said}",
    ]
    assert told(silent, silent, silent)[0] == "etcd has no quorum: 0 of 3 members are healthy"
    unknown = "whether etcd has a quorum is unknown: 0 of 3 members are healthy, and not all of their hosts"
    assert told(silent, silent, silent, failed="cp3")[0] == f"{unknown} have answered"
    assert told(*[etcd(leader=False)] * 3) == [
        "etcd has no quorum: 3 of 3 members are healthy, and they elect no leader: check port 2380 between their hosts"
    ]
    assert told(etcd(), etcd(leader=False), etcd()) == ["cp2: its etcd member has no connection to the leader"]


def test_alarms_are_told_once_and_by_their_member() -> None:
    alarms = [{"member": "2b", "alarm": "CORRUPT"}, {"member": "9", "alarm": "NOSPACE"}]
    found = told(*(etcd(identity=identity, alarms=alarms) for identity in ("1a", "2b", "3c")))
    assert [one.partition(": its")[0] for one in found] == [
        "cp2: etcd alarm CORRUPT",
        "etcd member 9: etcd alarm NOSPACE",
    ]


def test_a_leader_that_one_host_knows_is_one() -> None:
    assert told(etcd(), etcd(), etcd(), leaders=(UNLED, UNLED, UNLED)) == [UNLED]
    assert told(etcd(), etcd(), etcd(), leaders=(UNLED, "", UNLED)) == []


def test_a_leader_that_nobody_was_asked_for_is_unknown() -> None:
    found = answers()
    found["cp1"]["leaders"] = found["cp1"]["leaders"][:1]
    assert judged(found).problems == ("whether kube-scheduler has a leader is unknown",)


def test_a_restart_loop_is_no_running_service() -> None:
    found = answers()
    loop = "kubelet.service is in a restart loop (7 restarts by systemd): no such flag"
    others = [one for one in found["n1"]["components"] if one["name"] != "kubelet"]
    found["n1"]["components"] = [*others, component("kubelet", problem=loop)]
    assert judged(found).problems == (f"n1: {loop}",)
    assert "kubelet failing" in shown(judged(found))


def test_a_host_without_a_result_is_a_problem() -> None:
    found = answers()
    del found["n1"]
    told = judged(found)
    assert told.problems == ("n1: no result (status) of this host. See the run log in .",)
    assert "The cluster mine runs" not in shown(told)
