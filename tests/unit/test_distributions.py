"""What the roles find on a distribution that nothing here runs on: one file in tests/distributions for each, by facts.

python      the version of its /usr/bin/python3
packages    {package of its own repositories that a role asks for: the programs wanted of it}
elsewhere   the same of package sources that the user has to set up
programs    those that every such machine has
files       {path: text} as a machine that was just installed has them
firewalld   the sources that it trusts, where it runs
errors      what preflight says of such a node of a cluster with a balancer on each host
remedies    what is so once that was followed: files, firewalld, variables; then preflight is content
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import probe, system
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from kubeinstall.cluster import Cluster
from kubeinstall.cluster.inventory import load
from kubeinstall.cluster.known import known_inputs
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.errors import InputError
from tests.unit.test_cases import report

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = sorted((ROOT / "tests" / "distributions").glob("*.yml"))
FAMILY = {"debian-12": "debian", "debian-13": "debian", "ubuntu-24.04": "debian", "rocky-9": "redhat"}
# What kube-proxy, flannel, the CNI plugins, the component task and the balancer call.
PROGRAMS = {"curl", "dockerd", "haproxy", "ip", "iptables", "keepalived", "modprobe", "nft", "openssl"}
HOSTS = """\
etcd: {hosts: {control-1: }}
control_plane: {hosts: {control-1: {ansible_host: 192.0.2.11}, control-2: {ansible_host: 192.0.2.12}}}
node: {hosts: {node-1: {ansible_host: 192.0.2.21}}}
"""
each = pytest.mark.parametrize("path", DISTRIBUTIONS, ids=lambda path: path.stem)


def facts_of(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def test_all_are_there() -> None:
    assert {path.stem for path in DISTRIBUTIONS} == set(FAMILY)


def wanted(family: str) -> set[str]:
    """The packages that roles ask for, in their tasks and in their defaults; of a|b either will do."""
    found: set[str] = set()
    for path in [*ROOT.glob("roles/*/defaults/main.yml"), *ROOT.glob("roles/*/tasks/main.yml")]:
        content = yaml.safe_load(path.read_text()) or []
        items = (
            [content] if isinstance(content, dict) else [task.get("kubeinstall.cluster.component") for task in content]
        )
        for item in filter(None, items):
            for value in item.values():
                if isinstance(value, dict) and {"debian", "redhat"} <= value.keys():
                    found |= set(value[family])
    return found


@each
def test_the_roles_ask_for_packages_that_it_has_and_get_the_programs_that_they_need(path: Path) -> None:
    facts = facts_of(path)
    packages = {**facts["packages"], **facts.get("elsewhere", {})}
    choices = [set(one.split("|")) for one in wanted(FAMILY[path.stem])]
    assert [one for one in choices if not one & set(packages)] == []
    assert set(packages) - set().union(*choices) == set()
    found = [facts.get("programs", []), *packages.values()]
    assert {program for programs in found for program in programs} == PROGRAMS


@each
def test_its_family_is_known(path: Path, tmp_path: Path) -> None:
    put(tmp_path, facts_of(path)["files"])
    assert system.family(Host(str(tmp_path))) == FAMILY[path.stem]


@each
def test_its_python_understands_what_runs_on_hosts(path: Path) -> None:
    major, minor, *_ = facts_of(path)["python"].split(".")
    for source in (ROOT / "plugins" / "module_utils" / "hostside").glob("*.py"):
        ast.parse(source.read_text(), feature_version=(int(major), int(minor)))


@each
def test_what_preflight_says_of_it_and_that_its_remedies_are_enough(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(path)
    assert judged(facts, tmp_path / "before", monkeypatch) == facts.get("errors", [])
    better = facts.get("remedies", {})
    files = facts["files"] | better.get("files", {})
    assert judged(facts | better | {"files": files}, tmp_path / "after", monkeypatch) == []


def judged(facts: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What preflight says where node-1 is such a machine."""
    root, programs, inventory = (folder / name for name in ("root", "bin", "inventory"))
    put(root, facts["files"])
    put(inventory, {"hosts.yml": HOSTS, "host_vars/node-1.yml": yaml.safe_dump(facts.get("variables", {}))})
    programs.mkdir()
    if "firewalld" in facts:
        (programs / "firewall-cmd").write_text(f"#!/bin/sh\necho '{facts['firewalld']}'\n")
        (programs / "firewall-cmd").chmod(0o755)
    monkeypatch.setattr(probe, "SEARCHED", str(programs))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    host = Host(str(root))
    release = probe.os_release(host)
    said = {
        "python": facts["python"],
        "distribution": release["PRETTY_NAME"],
        "family": [release["ID"], *release.get("ID_LIKE", "").split()],
        "resolvers": probe.resolvers(host),
        "selinux_off": probe.selinux_off(host),
        "firewalld": probe.firewalld(host),
    }
    known = known_inputs()
    try:
        Cluster.from_inputs(load(inventory, known), known, {"node-1": report("node-1", said)}, Knowledge(), [])
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
