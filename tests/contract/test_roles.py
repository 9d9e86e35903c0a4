"""What no linter holds: how the roles, their inputs, the playbooks and the wiring between them fit together."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeinstall import access, report
from kubeinstall.cluster.applications import CLIENTS
from kubeinstall.cluster.identities import SYSTEM

ROOT = Path(__file__).parents[2]
ROLES = [
    "host",
    "container_engine",
    "etcd",
    "kube_apiserver",
    "kube_controller_manager",
    "kube_scheduler",
    "api_balancer",
    "api_vip",
    "kubelet",
    "kube_proxy",
    "flannel",
    "coredns",
]
VERSIONS = {
    "container_engine_containerd_version": "containerd",
    "container_engine_runc_version": "runc",
    "container_engine_cni_plugins_version": "cni-plugins",
    "container_engine_cri_dockerd_version": "cri-dockerd",
    "container_engine_pause_version": "pause",
    "etcd_version": "etcd",
    "flannel_version": "flannel",
    "flannel_cni_version": "flannel-cni",
    "coredns_version": "coredns",
    "kubernetes_version": "kubernetes",
}


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def defaults(role: str) -> dict[str, Any]:
    return dict(load(f"roles/{role}/defaults/main.yml"))


def options(role: str) -> dict[str, Any]:
    return dict(load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"])


INPUTS = {name: role for role in ROLES for name in defaults(role)}
WIRING: dict[str, Any] = load("playbooks/vars/cluster.yml")
CLUSTER_DEFAULTS: dict[str, Any] = WIRING["cluster_defaults"]
DERIVED = {name: value for name, value in WIRING.items() if name in INPUTS}


def code_of(path: Path) -> str:
    """A file without its comments: they may speak of anything."""
    return "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))


def tasks_of(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text()))


def plays_of(name: str) -> list[dict[str, Any]]:
    return list(load(f"playbooks/{name}.yml"))


def component_names() -> list[str]:
    names = []
    for role in ROLES:
        for path in sorted((ROOT / f"roles/{role}/tasks").glob("*.yml")):
            for task in tasks_of(path):
                if "kubeinstall.cluster.component" in task:
                    names.append(str(task["kubeinstall.cluster.component"]["name"]))
    return names


def test_the_wiring_keeps_the_order_of_lists() -> None:
    """A filter of sets gives another order in each run, and files made of it would change."""
    text = "\n".join(str(value) for value in WIRING.values())
    assert re.findall(r"\b(difference|intersect|symmetric_difference|union)\b", text) == []


def test_all_roles_are_known_here() -> None:
    assert sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir()) == sorted(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_inputs_and_their_types_are_the_same_set(role: str) -> None:
    assert sorted(options(role)) == sorted(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_types_hold_no_defaults_and_explain_themselves(role: str) -> None:
    for name, option in options(role).items():
        assert "default" not in option, name
        assert option["type"], name
        assert option["description"].endswith("."), name


@pytest.mark.parametrize("role", ROLES)
def test_names_carry_their_role(role: str) -> None:
    assert [name for name in defaults(role) if name != role and not name.startswith(f"{role}_")] == []
    internal = ROOT / f"roles/{role}/vars/main.yml"
    if internal.exists():
        assert [name for name in yaml.safe_load(internal.read_text()) if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_input_is_explained_at_its_default(role: str) -> None:
    text = (ROOT / f"roles/{role}/defaults/main.yml").read_text()
    paragraphs = text.removeprefix("---\n").strip().split("\n\n")
    assert [paragraph for paragraph in paragraphs if not paragraph.startswith("# ")] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_knows_neither_other_roles_nor_groups(role: str) -> None:
    foreign = [name for name, owner in INPUTS.items() if owner != role]
    never = [*foreign, "groups", "group_names", "hostvars", *(name for name in WIRING if name not in INPUTS)]
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, never))})(?!\w)")
    for path in sorted((ROOT / "roles" / role).rglob("*")):
        if path.is_file() and path.parent.name != "meta" and "molecule" not in path.parts and path.suffix != ".md":
            assert pattern.findall(code_of(path)) == [], path


def test_site_runs_each_role_in_order() -> None:
    imported = [play["ansible.builtin.import_playbook"] for play in plays_of("site")]
    assert imported == [
        "preflight.yml",
        *(f"{role}.yml" for role in ROLES),
        "cluster_manifests.yml",
        "etcd_users.yml",
        "unused.yml",
    ]


@pytest.mark.parametrize("name", [*ROLES, "cluster_manifests", "etcd_users"])
def test_playbooks_of_single_roles_begin_with_the_preflight_checks(name: str) -> None:
    first = plays_of(name)[0]
    assert first["ansible.builtin.import_playbook"] == "preflight.yml"
    assert first["vars"]["preflight_roles"] == [name]
    assert "preflight_done" in first["vars"]["preflight_hosts"]
    imports = {play["ansible.builtin.import_playbook"]: play.get("vars") for play in plays_of("site")}
    assert imports[f"{name}.yml"] == {"preflight_done": True}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_playbook(role: str) -> None:
    used = {
        task["ansible.builtin.import_role"]["name"]
        for play in plays_of(role)
        for task in play.get("tasks", [])
        if "ansible.builtin.import_role" in task
    }
    # With its engine a node's kubelet changes; flannel's network may lie in etcd, as a user's.
    others = {"container_engine": {"kubeinstall.cluster.kubelet"}, "flannel": {"kubeinstall.cluster.etcd"}}
    assert used - others.get(role, set()) == {f"kubeinstall.cluster.{role}"}


@pytest.mark.parametrize("name", [*ROLES, "cluster_manifests"])
def test_every_play_that_changes_hosts_stops_at_the_first_failure(name: str) -> None:
    for play in plays_of(name)[1:]:
        assert play["any_errors_fatal"] is True
        assert play["become"] is True
        assert play["gather_facts"] is False
        assert play["vars_files"][0] == "vars/cluster.yml"


def test_modules_are_named_in_full() -> None:
    paths = [path for role in ROLES for path in (ROOT / f"roles/{role}/tasks").glob("*.yml")]
    tasks = [task for path in paths for task in tasks_of(path)]
    plays = [play for path in (ROOT / "playbooks").glob("*.yml") for play in tasks_of(path)]
    tasks += [task for play in plays for task in play.get("tasks", [])]
    while tasks:
        task = tasks.pop()
        within = [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]
        assert within or [key for key in task if key.count(".") >= 2], task["name"]
        tasks += within


def applies_manifests(task: dict[str, Any]) -> bool:
    role = task.get("ansible.builtin.import_role")
    if role is None:
        return "kubeinstall.cluster.manifests" in task
    path = ROOT / "roles" / role["name"].rpartition(".")[2] / "tasks" / f"{role.get('tasks_from', 'main')}.yml"
    return any(applies_manifests(inner) for inner in tasks_of(path))


def test_every_play_that_speaks_to_the_api_names_all_of_its_servers() -> None:
    others = {"kubeinstall.cluster.manifests": {"others": "{{ kubeinstall_other_api_servers }}"}}
    plays = [(path.stem, play) for path in (ROOT / "playbooks").glob("*.yml") for play in tasks_of(path)]
    speaking = [(name, play) for name, play in plays if any(map(applies_manifests, play.get("tasks", [])))]
    assert {name for name, _ in speaking} == {"added", "cluster_manifests", "coredns", "flannel", "kube_apiserver"}
    assert [name for name, play in speaking if play.get("module_defaults") != others] == []


def test_the_command_reads_no_result_by_the_title_of_a_task() -> None:
    plays = [play for path in (ROOT / "playbooks").glob("*.yml") for play in tasks_of(path)]
    tasks = [task for play in plays for part in ("tasks", "pre_tasks") for task in play.get(part, [])]
    titles = set()
    while tasks:
        task = tasks.pop()
        titles.add(task["name"])
        tasks += [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]
    strings = {
        node.value
        for path in (ROOT / "kubeinstall").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # Of a task that was interrupted there is no result.
    assert titles & strings == {report.DRAIN}


def test_no_host_can_have_the_name_of_a_certificate() -> None:
    found: dict[str, set[str]] = {"etcd": set(), "kubernetes": {access.OPERATOR.common_name}, "front-proxy": set()}
    for path in (ROOT / "roles").glob("*/*/main.yml"):
        for authority, name in re.findall(r"authority: (\S+)\n +common_name: ([^:\s\"]+)\n", path.read_text()):
            found[authority].add(name)
    assert found["etcd"] | set(WIRING["kubeinstall_etcd_clients"]) == set(CLIENTS)
    assert found["kubernetes"] | found["front-proxy"] == set(SYSTEM)


@pytest.mark.parametrize(
    ("playbook", "state"), [("remove", "drained"), ("reboot", "emptied"), ("container_engine", "emptied")]
)
def test_every_drain_is_told_by_its_title_when_it_is_interrupted(playbook: str, state: str) -> None:
    def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for task in tasks for one in (flat(task["block"]) if "block" in task else [task])]

    tasks = [task for play in plays_of(playbook) for task in flat(play.get("tasks", []))]
    drains = [task for task in tasks if any(isinstance(v, dict) and v.get("state") == state for v in task.values())]
    assert [task["name"] for task in drains] == [report.DRAIN]


def test_a_removal_drains_records_and_deletes_in_steps() -> None:
    """Each is a task of its own: a run that ends between two of them leaves the rest undone, and the next goes on."""
    (play,) = [play for play in plays_of("remove") if play["name"] == "Take the nodes out"]
    states = [
        one["state"] for task in play["tasks"] for one in task.values() if isinstance(one, dict) and "state" in one
    ]
    assert states == ["drained", "absent", "force_deleted", "marked", "absent"]


def test_reset_takes_away_each_component_in_the_opposite_order() -> None:
    named = [component["name"] for component in load("playbooks/vars/reset.yml")["reset_components"]]
    # A role may have a second task for its component.
    assert named == list(dict.fromkeys(component_names()))[::-1]


# The wiring


def test_derived_inputs_say_so_at_their_default_and_no_others_do() -> None:
    said = set()
    for role in ROLES:
        for paragraph in (ROOT / f"roles/{role}/defaults/main.yml").read_text().split("\n\n"):
            if "Derived: " in paragraph:
                said |= set(re.findall(r"^(\w+):", paragraph, re.MULTILINE))
    assert said == set(DERIVED)


def test_the_wiring_holds_nothing_else() -> None:
    others = [name for name in WIRING if name not in INPUTS and name != "cluster_defaults"]
    assert [name for name in others if not name.startswith("kubeinstall_")] == []


def followed(value: Any) -> Any:
    """A value of the wiring, through the variables that only stand between."""
    while (match := re.fullmatch(r"\{\{ (kubeinstall_\w+) \}\}", str(value))) is not None:
        value = WIRING[match[1]]
    return value


def standing_twice() -> dict[str, str]:
    """{input: cluster variable} of the inputs that are a cluster variable as it is, with a default of its own."""
    pattern = re.compile(r"\{\{ cluster_(\w+) \| default\(cluster_defaults\.\1\) \}\}")
    found = {name: pattern.fullmatch(str(followed(value))) for name, value in DERIVED.items()}
    plain = {name: match[1] for name, match in found.items() if match}
    return {name: key for name, key in plain.items() if "{{" not in str(CLUSTER_DEFAULTS[key])}


def test_defaults_that_stand_twice_are_the_same_twice() -> None:
    twice = standing_twice()
    assert len(twice) > 10
    assert {name: defaults(INPUTS[name])[name] for name in twice} == {
        name: CLUSTER_DEFAULTS[key] for name, key in twice.items()
    }


def test_what_the_wiring_takes_from_a_role_has_the_default_of_that_role() -> None:
    text = (ROOT / "playbooks/vars/cluster.yml").read_text()
    found = [(name, value) for name, value in re.findall(r"(\w+) \| default\(([^()]*)\)", text) if name in INPUTS]
    assert {name for name, _ in found} == {
        "container_engine",
        "container_engine_registries",
        "container_engine_systemd_cgroup",
        "etcd_application_users",
        "flannel_subnet_manager",
        "kube_proxy_mode",
    }
    for name, value in found:
        assert yaml.safe_load(value) == defaults(INPUTS[name])[name]


@pytest.mark.parametrize(("name", "component"), VERSIONS.items())
def test_versions_are_those_of_the_catalogue(name: str, component: str) -> None:
    catalogue = load("kubeinstall/components/catalogue.yml")
    known = CLUSTER_DEFAULTS[name] if name in CLUSTER_DEFAULTS else defaults(INPUTS[name])[name]
    assert known == catalogue[component]["default"]


def test_every_version_is_compared_with_the_catalogue() -> None:
    free = {name for name in INPUTS if name.endswith("_version") and name not in DERIVED}
    assert free | {"kubernetes_version"} == set(VERSIONS)
