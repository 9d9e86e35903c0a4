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
