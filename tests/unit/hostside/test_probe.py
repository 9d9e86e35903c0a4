"""The probe on made-up roots, and on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import flannel, probe
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.cluster.reports import QUESTIONS, Facts

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B02000A:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1 0 100 0 0 10 0
   1: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 502 1 0 100 0 0 10 0
   2: 0100007F:192B 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 503 1 0 20 4 30 10 -1
   3: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 504 1 0 100 0 0 10 0
"""
NOWHERE, REST = "0" * 32 + ":0000", "00000000:00000000 00:00000000 00000000 0 0"
TCP6 = f"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: {"0" * 32}:280A {NOWHERE} 0A {REST} 505
   1: 0000000000000000FFFF00000100007F:280B {NOWHERE} 0A {REST} 506
"""


class Root:
    def __init__(self, path: Path) -> None:
        self.path, self.host = path, Host(str(path))
        (path / "proc").mkdir()

    def write(self, name: str, text: str) -> None:
        file = self.path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def process(self, pid: int, name: str, cgroup: str, *sockets: int) -> None:
        self.write(f"/proc/{pid}/comm", f"{name}\n")
        self.write(f"/proc/{pid}/cgroup", cgroup)
        (self.path / f"proc/{pid}/fd").mkdir()
        for number, inode in enumerate(sockets):
            (self.path / f"proc/{pid}/fd/{number}").symlink_to(f"socket:[{inode}]")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_ports_their_processes_and_whose_they_are(root: Root) -> None:
    root.write("/proc/net/tcp", TCP)
    root.write("/proc/net/tcp6", TCP6)
    root.process(71, "etcd", "0::/system.slice/etcd.service\n", 501)
    root.process(72, "nginx", "9:name=systemd:/system.slice/nginx.service\n8:pids:/x/other.service\n", 502, 504)
    root.process(73, "python3", "0::/user.slice/user-0.slice/session-3.scope\n", 505)
    root.write("/proc/74/comm", "ended while it was looked at\n")
    found = probe.ports(root.host, [2379, 6443, 10250, 10251], {"etcd.service"})
    assert [tuple(one.values()) for one in found] == [
        (2379, "10.0.2.11", 71, "etcd", "etcd.service", True),
        (6443, "0.0.0.0", 72, "nginx", "nginx.service", False),  # noqa: S104 compared, not listened on
        (10250, "::", 73, "python3", "", False),
        (10251, "127.0.0.1", None, "", "", False),
    ]
    assert list(found[0]) == ["port", "address", "pid", "process", "unit", "ours"]


def test_a_process_that_closes_files_while_it_is_looked_at(root: Root) -> None:
    root.write("/proc/net/tcp", TCP)
    root.process(71, "etcd", "0::/system.slice/etcd.service\n", 501)
    for number in range(1, 50):
        root.write(f"/proc/71/fd/{number}", "no link, which fails as one that is gone")
    assert probe.ports(root.host, [2379], {"etcd.service"})[0]["pid"] == 71


def test_features_of_a_kernel(root: Root) -> None:
    root.write("/proc/modules", "overlay 151552 0 - Live 0x0\nvxlan_other 1 0 - Live 0x0\n")
    (root.path / "sys/module/nf_conntrack").mkdir(parents=True)
    root.write(f"/lib/modules/{os.uname().release}/modules.builtin", "kernel/net/bridge/br_netfilter.ko\n")
    # Others' symbols may have a module's name.
    root.write("/proc/kallsyms", "0000000000000000 t vxlan_of_a_driver\n")
    found = probe.features(root.host, "vxlan")
    # modprobe, where this machine has it, looks at the machine's own modules.
    assert {found.pop("vxlan"), found.pop("nf_tables")} <= {"", "loadable"}
    assert found == {"overlay": "loaded", "nf_conntrack": "built in", "br_netfilter": "built in"}


def test_features_of_a_kernel_whose_modules_are_out_of_sight(root: Root) -> None:
    root.write("/proc/kallsyms", "0000000000000000 t nf_tables_init_net\n0000000000000000 t some_vxlan_thing\n")
    found = probe.features(root.host, "vxlan")
    assert found["nf_tables"] == "built in"
    assert found["vxlan"] in ("", "loadable")


def test_what_the_backend_that_is_wanted_needs_of_a_kernel(root: Root) -> None:
    root.write("/proc/kallsyms", "0000000000000000 t wg_xmit\n0000000000000000 t some_wireguard_thing\n")
    assert probe.features(root.host, "wireguard")["wireguard"] in ("built in", "loaded", "loadable")
    assert "wireguard" not in probe.features(root.host, "vxlan")
    assert probe.features(root.host, "udp")["tun"] == ""
    root.write("/dev/net/tun", "")
    assert probe.features(root.host, "udp")["tun"] == "loadable"


def test_flannel_as_it_was_set_up(root: Root) -> None:
    assert flannel.found(root.host) is None
    root.write("/etc/flannel/net-conf.json", "{")
    assert flannel.found(root.host) is None
    root.write("/etc/flannel/net-conf.json", json.dumps({"Backend": {"Type": "host-gw"}}))
    assert flannel.found(root.host) == {"backend": "host-gw", "manager": "kube", "share": ""}
    root.write("/etc/kubernetes/pki/flannel-etcd-client.crt", "")
    root.write("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n")
    assert flannel.found(root.host) == {"backend": "host-gw", "manager": "etcd", "share": "10.244.3.1/24"}


def test_what_is_read_from_files(root: Root) -> None:
    root.write("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.4"\n')
    root.write("/proc/meminfo", "MemTotal:        2048000 kB\nMemFree:  1 kB\n")
    release = probe.os_release(root.host)
    assert (release["ID"], release["PRETTY_NAME"]) == ("rocky", "Rocky Linux 9.4")
    assert probe.memory(root.host) == 2000
    assert probe.cgroups(root.host) == {"version": 1, "controllers": []}
    root.write("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
    assert probe.cgroups(root.host) == {"version": 2, "controllers": ["cpu", "memory", "pids"]}


def test_components_of_ours_even_with_a_damaged_record(root: Root) -> None:
    root.write("/var/lib/kubeinstall/etcd.json", json.dumps({"unit": "etcd.service"}))
    root.write("/var/lib/kubeinstall/host.json", json.dumps({"unit": None}))
    root.write("/var/lib/kubeinstall/kubelet.json", "{")
    assert probe.components(root.host) == {"etcd": "etcd.service", "host": None}


@pytest.mark.skipif(os.geteuid() != 0, reason="it asks for root, and says so otherwise")
def test_a_whole_root(root: Root) -> None:
    root.write("/etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    root.write("/proc/sys/kernel/hostname", "node-1\n")
    root.write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n")
    root.write("/etc/kubernetes/pki/ca.crt", "certificate")
    (root.path / "run/systemd/system").mkdir(parents=True)
    answer = probe.main({"root": str(root.path), **QUESTIONS, "vacant": [], "backend": "vxlan", "registries": {}})
    facts = Facts.model_validate(answer)
    assert (facts.hostname, facts.machine_id) == ("node-1", "3d1219c7c4c5404aaa1f6d2a48adfda4")
    assert (facts.systemd, facts.swap, facts.components) == (True, ("/dev/sda2",), ())
    assert facts.digests == {
        "/etc/kubernetes/pki/ca.crt": hashlib.sha256(b"certificate").hexdigest(),
        "/etc/etcd/pki/ca.crt": None,
        "/etc/etcd/pki/peer-ca.crt": None,
    }
    assert facts.disk["/var"]["free"] > 0
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.skipif(os.geteuid() != 0, reason="it asks for root, and says so otherwise")
def test_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = time.time()
        answer: dict[str, Any] = probe.main(
            {**QUESTIONS, "vacant": [], "backend": "vxlan", "registries": {}, "ports": [port]}
        )
    assert before <= answer["time"] <= time.time()
    (listener,) = answer["ports"]
    assert (listener["address"], listener["pid"], listener["ours"]) == ("127.0.0.1", os.getpid(), False)
    assert {"link": "lo", "address": "127.0.0.1/8"} in answer["networks"]
    assert answer["hostname"] == socket.gethostname()
    assert answer["memory"] > 100
    assert Facts.model_validate(answer).root


def test_without_root_it_says_so_and_no_more() -> None:
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        answer = probe.main({**QUESTIONS, "vacant": [], "backend": "vxlan", "registries": {}})
    finally:
        os.seteuid(before)
    assert answer["root"] is False
    assert set(answer) == {"time", "python", "user", "root"}


def test_an_address_is_somebodys_where_a_connection_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(probe, "API_PORT", server.getsockname()[1])
        assert probe.answers("127.0.0.1")
    assert probe.answers("127.0.0.1")
    assert not probe.answers("255.255.255.255")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="it asks systemd")
def test_a_calendar_expression_is_judged_by_systemd(root: Root) -> None:
    assert probe.calendar_problem(root.host, "Mon..Fri 02:00") == ""
    assert "Failed to parse calendar" in probe.calendar_problem(root.host, "every tuesday")
    assert "Failed to parse calendar" in probe.calendar_problem(root.host, "--help")


def test_without_systemd_no_calendar_expression_is_right(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SEARCHED", "/nonexistent")
    assert probe.calendar_problem(root.host, "daily") == "the program systemd-analyze is missing"
