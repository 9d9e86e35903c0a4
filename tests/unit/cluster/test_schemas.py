"""The schemas are those of the Go types, for all Kubernetes versions that can be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeinstall.cluster.configuration import check_configuration
from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.schemas import schema_of
from kubeinstall.components import Catalogue

ROOT = Path(__file__).parents[3]
MODULES = sorted(ROOT.glob("components/kubernetes-*"))


@pytest.mark.parametrize("version", Catalogue.load().versions("kubernetes"))
def test_each_version_has_a_schema(version: str) -> None:
    schema = schema_of(version)
    assert schema
    assert schema["kubelet"]["fields"]["maxPods"] == "int32"
    assert schema["kube-proxy"]["fields"]["conntrack"]["min"] == "int32"
    assert schema["gates"]["AllAlpha"] is None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_schema_is_what_the_sources_say(module: Path) -> None:
    if not shutil.which("go"):
        pytest.skip("there is no Go here")
    done = subprocess.run(
        ["go", "run", "../../tools/kubernetes-schema/main.go"],
        cwd=module,
        env={**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and any(text in done.stderr for text in ("GOPROXY=off", "GOTOOLCHAIN=local")):
        pytest.skip(f"the modules of {module.name} are not in Go's cache")
    assert done.returncode == 0, done.stderr
    kept = ROOT / f"kubeinstall/cluster/schemas/{module.name.rpartition('-')[2]}.json"
    assert kept.read_text(encoding="utf-8") == done.stdout, "run `make schemas`"


def wrong(**values: Any) -> list[str]:
    host = HostInput(name="n1", values=values)
    inputs = Inputs(directory=ROOT, groups={}, hosts=(host,), defaults={"cluster_kubernetes_version": "1.36.3"})
    errors = Findings(inputs)
    check_configuration(inputs, errors)
    return [str(one) for one in errors.problems()]


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("kubelet_configuration", "kubelet/templates/config.yaml.j2"),
        ("kube_proxy_configuration", "kube_proxy/templates/config.yaml.j2"),
    ],
)
def test_our_own_settings_are_known(name: str, template: str) -> None:
    block = (ROOT / "roles" / template).read_text().split("{% set ours %}")[1].split("{% endset %}")[0]
    ours = yaml.safe_load("\n".join(line for line in block.splitlines() if "{{" not in line))
    assert wrong(**{name: ours}) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"syncFrequency": "1m30.5s", "evictionHard": None, "kubeAPIQPS": -1, "logging": {"flushFrequency": 5}},
        {"registerWithTaints": [{"key": "a", "effect": "NoSchedule"}], "evictionHard": {"memory.available": "5%"}},
        {"featureGates": {"AllBeta": False}, "imageGCHighThresholdPercent": 80},
    ],
)
def test_right_settings(settings: dict[str, Any]) -> None:
    assert wrong(kubelet_configuration=settings) == []


def test_a_field_of_a_later_version_is_refused() -> None:
    (error,) = wrong(kubelet_configuration={"defaultPodSysctls": {}})
    assert "defaultPodSysctls', which kubelet 1.36 does not know" in error
