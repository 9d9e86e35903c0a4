"""Extra arguments as the programs of the component cache take them; without them the tests that need one skip."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubeinstall.cluster.arguments import PROGRAMS, Program, check_arguments
from kubeinstall.cluster.inputs import Findings, HostInput, Inputs
from kubeinstall.cluster.known import known_inputs
from kubeinstall.components import Store, machine_architecture
from kubeinstall.components.flags import Flags
from kubeinstall.errors import ComponentError
from tests.unit.hostside.conftest import program

ROOT = Path(__file__).parents[3]
SET: dict[str, dict[str, Any]] = {
    "container_engine": {"log-level": "debug"},
    "etcd": {"max-txn-ops": 129, "quota-backend-bytes": 8589934592, "data-dir": "/var/lib/etcd/other"},
    "flannel": {"healthz-ip": "0.0.0.0", "iptables-resync": 1},  # noqa: S104 a setting
    "kube_apiserver": {"service-node-port-range": "31000-31001", "profiling": True, "feature-gates": "AllAlpha=true"},
    "kube_controller_manager": {"leader-elect-lease-duration": "60s", "bind-address": "::"},
    "kube_proxy": {"v": 4},
    "kube_scheduler": {"leader-elect-retry-period": "1s"},
    "kubelet": {"max-pods": 20, "node-labels": "example.org/rack=7"},
}


def judged(**values: Any) -> tuple[list[str], list[str], frozenset[Program]]:
    known = known_inputs()
    host = HostInput(name="cp1", values=values, names=frozenset(values))
    inputs = Inputs(directory=ROOT, groups={}, hosts=(host,), defaults={"cluster_kubernetes_version": "1.37.1"})
    errors, warnings = Findings(inputs), Findings(inputs)
    missing = check_arguments(inputs, known, errors, warnings)
    return [str(one) for one in errors.problems()], [str(one) for one in warnings.problems()], missing


@pytest.mark.parametrize("role", PROGRAMS)
def test_arguments_that_a_program_takes(role: str) -> None:
    program(PROGRAMS[role][0])
    assert judged(**{f"{role}_extra_arguments": SET[role]}) == ([], [], frozenset())


@pytest.mark.parametrize("role", PROGRAMS)
def test_a_flag_that_a_program_does_not_have_is_refused(role: str) -> None:
    program(PROGRAMS[role][0])
    errors, _, _ = judged(**{f"{role}_extra_arguments": {"no-such-flag": 1}})
    assert len(errors) == 1
    assert f"no-such-flag in {role}_extra_arguments is not a flag of {PROGRAMS[role][0]} " in errors[0]


def test_the_nearest_flag_is_named() -> None:
    program("kube-apiserver")
    (error,), _, _ = judged(kube_apiserver_extra_arguments={"audit-log-max-age": 30})
    assert error.endswith("(did you mean audit-log-maxage?)")


def test_kubernetes_reads_an_underscore_as_a_dash() -> None:
    (error,), _, _ = judged(kube_apiserver_extra_arguments={"etcd_servers": "https://192.0.2.9:2379"})
    assert "etcd_servers in kube_apiserver_extra_arguments is set by kubeinstall" in error


def test_a_value_that_a_program_does_not_take_is_refused_with_its_reason() -> None:
    program("kube-apiserver"), program("kubelet"), program("etcd")
    errors, _, _ = judged(
        kube_apiserver_extra_arguments={"audit-log-maxage": "many"},
        kubelet_extra_arguments={"max-pods": "many"},
        etcd_extra_arguments={"max-txn-ops": "many"},
    )
    for flag, error in zip(("max-txn-ops", "--audit-log-maxage", "--max-pods"), errors, strict=True):
        assert "invalid " in error, error
        assert flag in error


def test_a_program_that_the_cache_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    errors, (warning,), missing = judged(kube_scheduler_extra_arguments={"no-such-flag": 1})
    assert errors == []
    assert (
        "kube_scheduler_extra_arguments is not checked: kube-scheduler 1.37.1 is not in the component cache" in warning
    )
    assert missing == {Program("kube-scheduler", "1.37.1")}


def test_the_flags_of_a_docker_package_are_not_known_here() -> None:
    assert judged(container_engine="docker", container_engine_extra_arguments={"mtu": 1400}) == ([], [], frozenset())
    errors, _, _ = judged(container_engine="docker", container_engine_extra_arguments={"containerd": "/run/other.sock"})
    assert len(errors) == 1


def test_each_role_with_more_arguments_is_checked() -> None:
    known = known_inputs()
    suffix = "_extra_arguments"
    assert {name.removesuffix(suffix) for name in known.inputs if name.endswith(suffix)} == PROGRAMS.keys()
    assert all(known.reserved[role] for role in PROGRAMS)


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Store, Path]:
    """A cache with a scheduler that notes each of its starts."""
    store = Store(tmp_path / "components")
    log = tmp_path / "starts"
    with store.lock("kubernetes", "1.37.1", machine_architecture()) as directory:
        made = directory / ".made"
        made.write_text(
            f'#!/bin/sh\necho "$@" >>{log}\n'
            'case $1 in --bad=*) echo "unknown flag: --bad"; exit 1;; --crash=*) kill -9 $$;; esac\n'
        )
        made.chmod(0o755)
        store.add("kube-scheduler", "1.37.1", machine_architecture(), made, "test")
    return store, log


def test_a_program_is_asked_once(counted: tuple[Store, Path]) -> None:
    store, log = counted
    file = store.locate("kube-scheduler", "1.37.1", machine_architecture())
    assert file
    for _ in range(2):
        flags = Flags(file)
        assert flags.refusal("v", "2") == ""
        assert flags.refusal("bad", "hunter2") == "unknown flag: --bad"
    assert log.read_text() == "--v=2 --help\n--bad=hunter2 --help\n"
    kept = file.path.with_name("kube-scheduler.flags.json")
    assert json.loads(kept.read_text())["sha256"] == file.sha256
    assert "hunter2" not in kept.read_text()


def test_a_program_that_ends_without_a_word_has_not_taken_a_flag(counted: tuple[Store, Path]) -> None:
    file = counted[0].locate("kube-scheduler", "1.37.1", machine_architecture())
    assert file
    for _ in range(2):
        with pytest.raises(ComponentError, match="does not run on this machine: it printed nothing and ended with -9"):
            Flags(file).refusal("crash", "1")


def test_a_program_with_another_digest_is_not_run(counted: tuple[Store, Path]) -> None:
    store, log = counted
    file = store.locate("kube-scheduler", "1.37.1", machine_architecture())
    assert file
    file.path.write_bytes(file.path.read_bytes().replace(b"exit 1", b"exit 2"))
    with pytest.raises(Exception, match="does not have the digest"):
        Flags(file).refusal("v", "2")
    assert not log.exists()


def test_gates_that_a_program_lists_are_known() -> None:
    """The schema is of the Go sources, the program is what runs."""
    from kubeinstall.cluster.schemas import schema_of

    file = program("kubelet")
    printed = subprocess.run([file, "--help"], capture_output=True, text=True, check=True).stdout
    listed = {line.split("=true|false (")[0].split()[-1] for line in printed.splitlines() if "=true|false (" in line}
    schema = schema_of(file.parts[-3])
    assert schema
    assert len(listed) > 50
    assert listed <= schema["gates"].keys()
