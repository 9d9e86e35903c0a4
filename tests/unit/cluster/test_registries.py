"""What only Docker does not know of registries, and what hosts are to ask them; the rest is in tests/cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.registries import check_registries, registry_questions
from tests.unit.hostside.registry import authority_in


def problems(engine: str, *entries: dict[str, Any]) -> list[str]:
    values = {"container_engine": engine, "container_engine_registries": list(entries)}
    host = HostInput(name="node-1", values=values)
    inputs = Inputs(directory=Path("/nowhere"), groups={"node": ("node-1",)}, hosts=(host,))
    errors = Findings(inputs)
    check_registries(inputs, errors)
    return [problem.what for problem in errors.problems()]


HUB = {"name": "docker.io", "mirrors": ["https://m.example.org"]}
OTHER = {"name": "quay.io", "mirrors": ["https://m.example.org"]}
MIRROR = {"name": "m.example.org", "username": "kube", "password": "hunter2"}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((HUB,), []),
        ((OTHER,), ["quay.io has mirrors, and Docker knows mirrors of docker.io alone"]),
        (
            (HUB, MIRROR),
            ["the mirror https://m.example.org of docker.io asks for credentials, which Docker never sends it"],
        ),
    ],
)
def test_what_docker_does_not_know(entries: tuple[dict[str, Any], ...], said: list[str]) -> None:
    assert problems("docker", *entries) == [f"container_engine_registries: {sentence}" for sentence in said]
    assert problems("containerd", *entries) == []


def test_what_hosts_ask(tmp_path: Path) -> None:
    text, _ = authority_in(tmp_path)
    (tmp_path / "ca.crt").write_text(text)
    values = {
        "container_engine_registries": [
            {"name": "a.example.org", "username": "kube", "password": 1234, "authority": "ca.crt"},
            {"name": "b.example.org", "mirrors": ["https://a.example.org"]},
            # What is wrong is said, and nobody is asked for it.
            {"name": "https://c.example.org", "username": "kube", "password": "hunter2"},
            {"name": "d.example.org", "username": "kube"},
            {"name": "e.example.org", "username": "kube", "password": "hunter2", "authority": "nowhere.crt"},
            "f.example.org",
        ],
        "container_engine_https_proxy": "http://proxy.example.org:3128",
        "container_engine_cluster_networks": ["10.244.0.0/16"],
        "container_engine_no_proxy": ["example.com"],
    }
    assert registry_questions(values, tmp_path) == {
        "registries": [{"name": "a.example.org", "username": "kube", "password": "1234", "authority": text}],
        "proxy": "http://proxy.example.org:3128",
        "no_proxy": ["10.244.0.0/16", "example.com"],
    }


@pytest.mark.parametrize("said", [None, [], "text", [{"name": "a.example.org"}], [{"name": 7, "username": []}]])
def test_without_credentials_nobody_is_asked(said: Any) -> None:
    assert registry_questions({"container_engine_registries": said}, Path("/nowhere")) == {}
