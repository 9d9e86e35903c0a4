from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeinstall.lab import hosts, machine
from kubeinstall.lab.ways import ORDINARY, RESTRICTED
from tests.unit.lab.fake_engine import FakeEngine


class LacksModules(FakeEngine):
    """An engine whose hosts find kernel modules missing."""

    missing = "vxlan\nbr_netfilter\n"

    def run(self, name: str, command: Sequence[str]) -> tuple[int, str]:  # noqa: ARG002
        return 0, self.missing


def test_memory_warning() -> None:
    said: list[str] = []
    machine.warn_of_memory(1, 0, said.append)
    machine.warn_of_memory(89, 150000, said.append)
    assert len(said) == 1
    assert "expect it to be slow, or ask for fewer hosts" in said[0]


def test_routes_of_this_machine_are_subnets() -> None:
    for route in hosts._machine_routes():
        ipaddress.ip_network(route)
    assert 500 < hosts._machine_mtu() < 70000


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (struct.pack(">6H", 0x6B69, 0x8180, 1, 1, 0, 0), True),
        (struct.pack(">6H", 0x6B69, 0x8183, 1, 0, 0, 0), False),
        (struct.pack(">6H", 0x6B69, 0x8182, 1, 0, 0, 0), False),
        (struct.pack(">6H", 1, 0x8180, 1, 1, 0, 0), False),
        (b"short", False),
    ],
    ids=["answers", "no-such-name", "server-failure", "of-another-question", "garbage"],
)
def test_a_name_server_counts_when_it_answers(monkeypatch: pytest.MonkeyPatch, answer: bytes, good: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(machine, "_DNS_PORT", server.getsockname()[1])

        def serve() -> None:
            _, client = server.recvfrom(512)
            server.sendto(answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        assert machine._resolves("127.0.0.1", seconds=5) is good
        thread.join()


def test_a_name_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(machine, "_DNS_PORT", server.getsockname()[1])
        assert machine._resolves("127.0.0.1", seconds=0.05) is False


def test_facts_come_from_the_engine_and_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_nameservers", lambda: [])
    found = machine.facts({"CgroupVersion": "2"}, ORDINARY)
    assert (found.cgroup_version, found.restricted, found.resolvers) == (2, False, ())
    # Engines before version 2 was known do not name it.
    assert machine.facts({}, RESTRICTED).cgroup_version == 1
    assert machine.facts({}, RESTRICTED).restricted


def test_missing_modules_without_root_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "as_root", lambda _: None)
    said: list[str] = []
    machine.prepare_kernel(LacksModules(), "lab-cp1", 0, said.append)
    assert "Warning: this machine's kernel lacks vxlan br_netfilter" in said[0]
    assert "`sudo modprobe -a vxlan br_netfilter`" in said[0]


def test_missing_modules_are_loaded_as_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine, loaded = LacksModules(), tmp_path / "loaded"

    def as_root(command: Sequence[str]) -> list[str]:
        if command[-1] == "br_netfilter":
            engine.missing = ""
        return ["sh", "-c", f"echo {' '.join(command)} >>{loaded}"]

    monkeypatch.setattr(machine, "as_root", as_root)
    said: list[str] = []
    machine.prepare_kernel(engine, "lab-cp1", 10**6, said.append)
    assert said[:2] == ["Loaded the kernel module vxlan", "Loaded the kernel module br_netfilter"]
    assert said[2].startswith("Set fs.inotify.max_user_instances=64000064 on this machine until it reboots")
    assert loaded.read_text().splitlines() == [
        "modprobe vxlan",
        "modprobe br_netfilter",
        "sysctl -qw fs.inotify.max_user_instances=64000064",
    ]


def test_few_file_watches_without_root_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "as_root", lambda _: None)
    engine = LacksModules()
    engine.missing = ""
    said: list[str] = []
    machine.prepare_kernel(engine, "lab-cp1", 10**6, said.append)
    assert said == [
        "Warning: 1000000 hosts may run out of file watches: `sudo sysctl -w fs.inotify.max_user_instances=64000064`"
    ]
