"""Bad inventories, and hosts that will not do: one file in tests/cases for each, with every sentence it has to bring.

about      what the case is
files      {path in the inventory: text}; hosts.yml and group_vars/all.yml are those below where they are not given
reports    {host: what differs from a good report}, where hosts were asked; without it none was
formed     true: the cluster exists
knowledge  what the living cluster's API says, as cluster/membership.py has it; without it no API server answers
roles      what the run is limited to
welcome    hosts that come back on purpose
errors     all of them, in order; none means that it loads
warnings   those of an inventory that loads
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeinstall.cluster import Cluster
from kubeinstall.cluster.inventory import load
from kubeinstall.cluster.known import known_inputs
from kubeinstall.cluster.membership import Knowledge
from kubeinstall.cluster.reports import Report
from kubeinstall.errors import InputError
from kubeinstall.pki import PKI

CASES = Path(__file__).parents[1] / "cases"
HOSTS = """\
etcd: {hosts: {control-1: }}
control_plane: {hosts: {control-1: {ansible_host: 192.0.2.11}}}
node: {hosts: {node-1: {ansible_host: 192.0.2.21}}}
"""
GOOD: dict[str, Any] = {
    "python": "3.9.2",
    "user": "root",
    "root": True,
    "systemd": True,
    "machine": "x86_64",
    "distribution": "Debian GNU/Linux 12 (bookworm)",
    "family": ["debian"],
    "memory": 2048,
    "disk": {"/var": {"free": 20000, "device": 1}, "/usr/local": {"free": 20000, "device": 1}},
    "features": dict.fromkeys(("br_netfilter", "nf_conntrack", "nf_tables", "overlay", "vxlan"), "loadable"),
    "programs": ["apt-get"],
    "cgroups": {"version": 2, "controllers": ["cpu", "cpuset", "io", "memory", "pids"]},
}
ADDRESSES = {"control-1": "192.0.2.11/24", "node-1": "192.0.2.21/24"}


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yml")), ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = {"about", "files", "reports", "formed", "knowledge", "welcome", "roles", "errors", "warnings"}
    assert case.keys() <= keys
    monkeypatch.chdir(tmp_path)
    # Without components, whatever this machine has.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inventory = Path("inventory")
    for name, text in {"hosts.yml": HOSTS, **case.get("files", {})}.items():
        (inventory / name).parent.mkdir(parents=True, exist_ok=True)
        (inventory / name).write_text(text, encoding="utf-8")
    if case.get("formed"):
        pki = PKI(tmp_path / "inventory" / ".kubeinstall" / "pki")
        pki.ensure()
        pki.mark_formed({})
    reports = {name: report(name, said) for name, said in case.get("reports", {}).items()}
    try:
        known = known_inputs()
        knowledge = Knowledge.model_validate({"answered": "knowledge" in case, **case.get("knowledge", {})})
        welcome, roles = case.get("welcome", []), case.get("roles", [])
        cluster = Cluster.from_inputs(load(inventory, known), known, reports, knowledge, welcome, roles)
    except InputError as error:
        found, warnings = [str(problem).replace(str(tmp_path), "TMP") for problem in error.problems], []
    else:
        found, warnings = [], [str(warning) for warning in cluster.warnings]
    assert shortened(found, case.get("errors", [])) == case.get("errors", [])
    assert shortened(warnings, case.get("warnings", [])) == case.get("warnings", [])


def shortened(found: list[str], expected: list[str]) -> list[str]:
    """An expected sentence that ends with … leaves open what follows: versions come and go."""
    ends = [len(sentence) - 1 if sentence.endswith("…") else None for sentence in expected]
    return [text[:end] + ("…" if end else "") for text, end in zip(found, ends, strict=False)] + found[len(ends) :]


def report(name: str, said: dict[str, Any] | None) -> Report:
    """A good report of that host, but for what the case says of it."""
    said = dict(said or {})
    if "failure" in said or "unreachable" in said:
        return Report(**said)
    address = {"link": "eth0", "address": ADDRESSES.get(name, "192.0.2.99/24")}
    own = {"hostname": name, "machine_id": name, "networks": [address]}
    clock = said.pop("clock", 0)
    return Report.model_validate({"facts": {**GOOD, **own, **said}, "clock": clock})
