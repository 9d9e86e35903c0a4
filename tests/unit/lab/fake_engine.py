"""A Docker engine in memory: what the lab asks of `Engine`, and a record of it."""

# ruff: noqa: ARG002 a stand-in takes what the real one takes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubeinstall.errors import LabError
from kubeinstall.lab.containers import Container, ContainerSpec, Network
from kubeinstall.lab.engine import Engine

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI fake"


@dataclass
class FakeEngine(Engine):
    refuse: Mapping[str, str] = field(default_factory=dict)
    """What `start` refuses: the container's name -> why. `privileged` refuses all privileged ones."""

    specs: dict[str, ContainerSpec] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    nets: list[Network] = field(default_factory=lambda: [Network("bridge", ("172.17.0.0/16",), {})])
    files: dict[str, dict[str, tuple[bytes, int]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def info(self) -> Mapping[str, Any]:
        return {"CgroupVersion": "2", "SecurityOptions": []}

    def image_id(self, reference: str) -> str | None:
        return "sha256:" + "ab" * 32

    def networks(self) -> list[Network]:
        return list(self.nets)

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str], mtu: int) -> None:
        self.nets.append(Network(name, (subnet,), labels))

    def remove_network(self, name: str) -> None:
        self.nets = [net for net in self.nets if net.name != name]

    def remove_volumes(self, label: str) -> None:
        self.calls.append(f"remove volumes {label}")

    def containers(self, label: str) -> list[Container]:
        key, _, value = label.partition("=")
        return [
            Container(spec.name, self.states[spec.name], spec.address, spec.image, spec.labels)
            for spec in self.specs.values()
            if key in spec.labels and value in ("", spec.labels[key])
        ]

    def create(self, spec: ContainerSpec) -> None:
        self.calls.append(f"create {spec.name}")
        self.specs[spec.name] = replace(spec)
        self.states[spec.name] = "created"

    def start(self, name: str) -> None:
        self.calls.append(f"start {name}")
        if why := self.refuse.get("privileged" if self.specs[name].privileged else name):
            raise LabError(why)
        self.states[name] = "running"

    def stop(self, name: str, seconds: int = 30) -> None:
        self.calls.append(f"stop {name}")
        self.states[name] = "exited"

    def kill(self, name: str) -> None:
        self.calls.append(f"kill {name}")
        self.states[name] = "exited"

    def remove(self, name: str) -> None:
        self.calls.append(f"remove {name}")
        self.specs.pop(name, None)

    def run(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        return (0, HOST_KEY) if "ssh_host_ed25519_key" in command[-1] else (0, "")

    def write(self, name: str, files: Mapping[str, tuple[bytes, int]]) -> None:
        self.files.setdefault(name, {}).update(files)
