"""Services of the cluster made by hand, with the backends that the scenario's prepare.yml started on each host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from testinfra.host import Host

from tests.lab import Lab, eventually

__all__ = ["Answer", "Service", "ask", "peers", "service"]


@dataclass(frozen=True)
class Answer:
    """What a backend says: its host's name, and the address that it sees."""

    backend: str
    peer: str


@dataclass(frozen=True)
class Service:
    """A Service of the cluster: its name, and where it is reached."""

    lab: Lab
    name: str
    address: str
    node_port: int

    def lead_to(self, backends: Sequence[Host], not_ready: Sequence[Host] = ()) -> None:
        """Has these hosts be its backends."""
        self.lab.kubectl("replace --filename=-", _slice(self.lab, self.name, backends, not_ready))


@contextmanager
def service(lab: Lab, backends: Sequence[Host], **spec: object) -> Iterator[Service]:
    """A new Service that leads to these hosts. Its name is used once, so nothing can be left of an earlier one."""
    name = f"try-{uuid4().hex[:8]}"
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }
    # The backends first: with its address it has them.
    lab.kubectl("create --filename=-", _slice(lab, name, backends))
    try:
        got = json.loads(lab.kubectl("create --filename=- --output=json", made))["spec"]
        yield Service(lab, name, got["clusterIP"], got["ports"][0]["nodePort"])
    finally:
        lab.kubectl(f"delete --ignore-not-found service/{name} endpointslice/{name}")


def ask(lab: Lab, host: Host, address: str, port: int = 80, times: int = 1, source: str = "") -> list[Answer]:
    """What is answered to a host that asks some times, or until it gets no answer; from one address of its own."""
    # Without a rule for it a packet leaves for who knows where, and may even be taken there.
    client = f"timeout 1 socat -u TCP:{address}:{port}{f',bind={source}' if source else ''} STDOUT 2>/dev/null"
    said = lab.sh(host, f"for time in $(seq {times}); do {client} || break; done")
    return [Answer(*line.split()) for line in said.splitlines()]


def peers(lab: Lab, *sources: str) -> list[str]:
    """The addresses that a backend on the second host sees where the first one asks from these, each its own for that
    time."""
    one, other = lab.all
    seen = []
    with service(lab, [other]) as asked:
        eventually(lambda: ask(lab, one, asked.address), 15, "the service answers")
        for source in sources:
            lab.sh(one, f"ip address replace {source}/32 dev lo")
            lab.sh(other, f"ip route replace {source}/32 via {lab.address(one)}")
            try:
                seen += [answer.peer for answer in ask(lab, one, asked.address, source=source)]
            finally:
                lab.sh(one, f"ip address delete {source}/32 dev lo")
                lab.sh(other, f"ip route delete {source}/32")
    return seen


def _slice(lab: Lab, name: str, backends: Sequence[Host], not_ready: Sequence[Host] = ()) -> dict[str, Any]:
    endpoints = [
        {
            "addresses": [lab.address(host)],
            "nodeName": lab.name(host),
            "conditions": {"ready": host not in not_ready},
        }
        for host in [*backends, *not_ready]
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": endpoints,
    }
