"""Whatever a host answers to an action plugin, nothing but a clear failure of that host comes of it."""

from __future__ import annotations

import json
import sys
import types
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import action_loader, connection_loader
from ansible.template import Templar
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.answers import Answer, Nothing
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import border, hold, hostcall
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import result_of, validated
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeinstall.pki import PKI

# What Ansible acts on in a task's result, whichever action it comes from.
RESERVED: dict[str, Any] = {
    "add_host": {"host_name": "x", "host_vars": {"ansible_connection": "local"}},
    "add_group": "x",
    "ansible_facts": {"ansible_connection": "local"},
    "ansible_stats": {"data": {}},
    "_ansible_notify": ["x"],
    "_ansible_no_log": False,
    "_ansible_delegated_vars": {},
    "_ansible_verbose_override": True,
    "invocation": {},
    "failed": False,
    "changed": True,
    "skipped": True,
    "unreachable": True,
    "warnings": ["x"],
    "deprecations": [],
    "exception": "x",
    "diff": [],
    "msg": "x",
    "results": [],
    "include": "x",
    "include_variables": {},
    "stdout": "x",
    "rc": 0,
    "retries": 9,
    "attempts": 9,
}
ANSWERS = [
    (module.__name__.rpartition(".")[2], operation, answer.form)
    for module in border.operations()
    for operation, answer in module.ANSWERS.items()
]
NAMES = [f"{module} {operation}" for module, operation, _ in ANSWERS]


def sample(form: Any) -> Any:
    """A value of a form, as JSON has it."""
    origin, arguments = get_origin(form), get_args(form)
    if hasattr(form, "_fields"):
        return {name: sample(kind) for name, kind in get_type_hints(form).items()}
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType):
        return sample(arguments[0])
    if origin is list:
        return [sample(arguments[0])]
    if origin is dict:
        return {"x": sample(arguments[1])}
    return {bool: True, int: 1, float: 1.5, str: "x", Any: "x"}[form]


def forms(form: Any) -> Iterator[Any]:
    """A form and all that are nested in it."""
    if hasattr(form, "_fields"):
        yield form
        for kind in get_type_hints(form).values():
            yield from forms(kind)
    for kind in get_args(form):
        yield from forms(kind)


def sent(envelope: Any) -> str:
    return f"{hostcall.BEGIN}\n{json.dumps(envelope)}\n{hostcall.END}\n"


def received(text: str, form: Any) -> Any:
    return result_of(text, hostcall.BEGIN, hostcall.END, "some", form)


def keys_at_any_depth(value: Any, key: str, item: Any) -> Iterator[Any]:
    """The value with one more key, once for each of its mappings that has a form."""
    if isinstance(value, dict):
        yield {**value, key: item}
        for name, inner in value.items():
            for changed in keys_at_any_depth(inner, key, item):
                yield {**value, name: changed}
    if isinstance(value, list):
        for changed in keys_at_any_depth(value[0], key, item) if value else ():
            yield [changed]


@pytest.mark.parametrize(("module", "operation", "form"), ANSWERS, ids=NAMES)
def test_answers_are_of_their_form_and_no_other(module: str, operation: str, form: Any) -> None:
    good = sample(form)
    assert border.plain(received(sent({"result": good}), form)) == good
    for key, item in RESERVED.items():
        # Where a form takes any name, as the certificates' of a component, the plugin compares them with its own.
        if get_origin(form) is not dict:
            with pytest.raises(AnsibleActionFail, match="was refused"):
                received(sent({"result": {**good, key: item}}), form)
    wrong: Any
    for wrong in (None, True, 1, "x", [1], {"x": []}):
        with pytest.raises(AnsibleActionFail, match="was refused"):
            received(sent({"result": wrong}), form)


@pytest.mark.parametrize(("module", "operation", "form"), ANSWERS, ids=NAMES)
def test_only_objects_of_the_api_are_of_any_form(module: str, operation: str, form: Any) -> None:
    free = {
        (one.__name__, name)
        for one in forms(form)
        for name, kind in one.__annotations__.items()
        if "Any" in kind_of(kind)
    }
    assert free <= {("Change", "before"), ("Change", "after")}


def kind_of(kind: Any) -> str:
    return str(getattr(kind, "__forward_arg__", kind))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


GOOD: dict[str, Any] = {"result": {"changes": []}}
MALFORMED = {
    "no JSON": f"{hostcall.BEGIN}\n{{\n{hostcall.END}\n",
    "nothing": f"{hostcall.BEGIN}\n{hostcall.END}\n",
    "not a number": f'{hostcall.BEGIN}\n{{"result": NaN}}\n{hostcall.END}\n',
    "infinite": f'{hostcall.BEGIN}\n{{"result": 1e999}}\n{hostcall.END}\n',
    "a long number": f'{hostcall.BEGIN}\n{{"result": {"9" * 5000}}}\n{hostcall.END}\n',
    "a large number": sent({"result": 1 << 64}),
    "nested": sent({"result": nested(200)}),
    "nested beyond the stack": f"{hostcall.BEGIN}\n{'[' * 200_000}\n{hostcall.END}\n",
    "two answers": sent(GOOD) * 2,
    "one begin more": hostcall.BEGIN + sent(GOOD),
    "the wrong way round": f"{hostcall.END}\n{hostcall.BEGIN}",
    "no end": f"{hostcall.BEGIN}\n{json.dumps(GOOD)}",
    "two outcomes": sent({**GOOD, "failed": "x"}),
    "an unknown outcome": sent({"changed": True}),
    "no outcome": sent({}),
    "a list": sent([]),
    "a failure that is no text": sent({"failed": {"msg": "x"}}),
    "a crash that is no text": sent({"crashed": ["x"]}),
    "huge": sent({"result": {"changes": ["x" * border.LARGEST]}}),
    "half a character": f'{hostcall.BEGIN}\n{{"result": {{"\\ud800": 1}}}}\n{hostcall.END}\n',
}


BRIEF = ("no JSON", "not a number", "nested", "two answers", "two outcomes", "a failure that is no text")


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_a_short_failure(text: str) -> None:
    form = border.answer_to("membership", {"operation": "mark"}).form
    with pytest.raises(AnsibleActionFail) as raised:
        received(text, form)
    assert "the answer of this host to hostside.some was refused: " in str(raised.value)
    assert len(str(raised.value)) < 500


def test_messages_of_hosts_lose_what_a_terminal_acts_on() -> None:
    form = border.answer_to("membership", {"operation": "mark"}).form
    text = "one\n\ttwo \x1b]52;c;cm0gLXJmIC8K\x07\x1b[31mred\x1b[0m \x9b2J\u202eevil\u2066\x00\x08\x7f\u0085\u200b"
    clean = "one\n\ttwo red evil"
    assert received(sent({"result": {"changes": [text]}}), form).changes == [clean]
    for outcome in ("failed", "crashed"):
        with pytest.raises(AnsibleActionFail) as raised:
            received(sent({outcome: text}), form)
        assert clean in str(raised.value)
        assert raised.value.message.isascii()
    with pytest.raises(AnsibleActionFail) as raised:
        received(sent({"failed": "x" * (1 << 20)}), form)
    assert len(str(raised.value)) < 2 * border.LONGEST_MESSAGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(sorted(RESERVED)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(sorted(RESERVED)), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ANSWERS), JSON, st.sampled_from(["result", "failed", "crashed", "x"]))
def test_any_json_is_an_answer_of_its_form_or_refused(answer: tuple[str, str, Any], value: Any, outcome: str) -> None:
    _, _, form = answer
    try:
        found = received(sent({outcome: value}), form)
    except AnsibleActionFail:
        return
    assert json.loads(json.dumps(border.plain(found))) is not None
    assert validated(border.plain(found), form) == found


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_no_more_than_a_failure(text: str) -> None:
    with pytest.raises(AnsibleActionFail):
        received(f"{hostcall.BEGIN}{text}{hostcall.END}", border.answer_to("boot", {"operation": "settle"}).form)


class Host:
    """An action's host that answers every call alike, and has a folder for files."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def execute(self, command: str, *, in_data: bytes = b"", **_: Any) -> dict[str, Any]:
        if not command.endswith(" -I -S -"):
            return {"rc": 0, "stdout": "/var/tmp/kubeinstall-0\n", "stderr": ""}
        lines = dict(
            line.split(" = ", 1) for line in in_data.decode().splitlines() if line.startswith(("MODULE", "SPEC"))
        )
        module, spec = str(literal_eval(lines["MODULE"])), json.loads(literal_eval(lines["SPEC"]))
        self.asked.append((module, spec.get("operation", "main")))
        return {"rc": 0, "stdout": self.answer, "stderr": ""}


API = {"server": "https://127.0.0.1:6443", "authority": "/a", "certificate": "/c", "key": "/k"}
BACKUP = {"path": "/b", "sha256": "0" * 64, "token": "t", "target": 1, "kept": "/var/lib/etcd/x.etcd"}
RESTORING = {"backup": {"token": "t", "kept": "/var/lib/etcd/x.etcd"}, "cluster_id": "1", "members": ["cp1"]}
ONE = {"name": "cp2", "address": "192.0.2.12"}
WHICH = {
    "host": "cp1",
    "nodes": ["cp1"],
    "remove": False,
    "patience": 1,
    "seconds": 1,
    "guard": 0,
    "version": "1.37.0",
    "domain": "cluster.local",
    "dns_address": "10.96.0.10",
    **API,
}
# {action: the arguments by which it asks its host something}; {pki} and {folder} are the test's.
TASKS: dict[str, list[dict[str, Any]]] = {
    "boot": [{"state": "spared"}, {"state": "settled"}],
    "bootstrap_defaults": [{"pki_directory": "{pki}"}],
    "certificates": [{}],
    "component": [{"name": "some", "unit": None}],
    "etcd_backup": [
        {"part": "probe"},
        *({"part": part, "cluster": "c", "directory": "{folder}", "member": "m", "backups": "/b",
           "pki_directory": "{pki}"} for part in ("save", "data", "stored")),
    ],
    "etcd_member": [
        {"state": "asked"},
        {"state": "announced", **ONE},
        {"state": "promoted"},
        {"state": "absent", **ONE},
    ],
    "etcd_restore": [
        {"part": "look"},
        {"part": "revision"},
        {"part": "inspect", "restoring": RESTORING},
        {"part": "complete", "restoring": RESTORING, "data": {"cp1": "staged"}},
        {"part": "stage", "backup": BACKUP, "pki_directory": "{pki}", "members": {}, **ONE},
        {"part": "stop", "unit": "etcd.service"},
        {"part": "swap", "backup": BACKUP},
        {"part": "start", "unit": "etcd.service"},
        {"part": "wait"},
        {"part": "ready", "unit": "etcd.service", "ready": {}},
        {"part": "put_back", "backup": BACKUP},
        {"part": "settle"},
        {"part": "finish", "backup": BACKUP},
    ],
    "etcd_users": [
        *({"state": s, "endpoints": ["https://192.0.2.11:2379"], "pki_directory": "{pki}"}
          for s in ("present", "enabled", "disabled", "absent")),
        {"state": "proven"},
    ],
    "flannel_network": [
        {"state": "asked", "nodes": ["cp1"]},
        {"state": "present", "endpoints": ["e"], "prefix": "/p", "config": "{}"},
        {"state": "absent", "endpoints": ["e"], "prefix": "/p", "address": "192.0.2.11"},
    ],
    "formed": [{"pki_directory": "{pki}", "members": ["cp1"]}],
    "image": [{"archives": ["{folder}/archive.tar"]}],
    "manifests": [{}],
    "membership": [
        {"state": "asked", "pki_directory": "{pki}"},
        {"state": "foreseen", "name": "cp2"},
        {"state": "drained", "name": "cp2"},
        {"state": "force_deleted", "name": "cp2"},
        {"state": "absent", "name": "cp2"},
        {"state": "marked", "kinds": ["node"], **ONE},
        {"state": "welcome", "marks": ["node.cp2"]},
    ],
    "pods": [{"state": "absent"}],
    "preflight": [{}],
    "reboot": [
        {"state": "asked"},
        {"state": "foreseen", "name": "cp2"},
        {"state": "begun"},
        {"state": "emptied", "name": "cp2"},
        {"state": "finished", "name": "cp2"},
    ],
    "reset": [{"components": [], "backups": "/b"}],
    "status": [{}],
    "verify_probe": [
        {"part": "host", "spec": {}},
        {"part": "cluster", "spec": WHICH},
        {"part": "network", "spec": {}},
    ],
}  # fmt: skip
# Asked only after a first answer that was right: of the component task, and those that ask this machine alone.
LATER = {("component", name) for name in ("request", "install", "apply", "wait")}
CALLS = [(action, arguments) for action, tasks in TASKS.items() for arguments in tasks]
IDS = [f"{action} {arguments.get('state') or arguments.get('part') or ''}".strip() for action, arguments in CALLS]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    pki = PKI(tmp_path_factory.mktemp("cluster") / "pki")
    pki.ensure()
    pki.mark_formed({"at": "2026-01-01", "members": ["cp1"]})
    return pki


@pytest.fixture
def act(tmp_path: Path, pki: PKI, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an action plugin as Ansible would, with a host that gives the answer; (what it returns or raises, host)."""
    monkeypatch.setattr(hold, "take", lambda *_: None)
    monkeypatch.setattr(hold, "check", lambda: None)

    def run(action: str, arguments: Mapping[str, Any], answer: str) -> tuple[Any, Host]:
        text = json.dumps(arguments).replace("{pki}", str(pki.directory)).replace("{folder}", str(tmp_path))
        host, loader = Host(answer), DataLoader()
        play = PlayContext()
        task = SimpleNamespace(
            args=json.loads(text), check_mode=False, diff=False, async_val=0, environment=[], delegate_to=None,
            action=action, resolved_action=action, _role=None, timeout=0, no_log=False, collections=[],
        )  # fmt: skip
        name = f"kubeinstall.cluster.{action}"
        plugin = action_loader.get(
            name,
            task=task,
            connection=connection_loader.get("local", play),
            play_context=play,
            loader=loader,
            templar=Templar(loader=loader),
            shared_loader_obj=SimpleNamespace(),
        )
        monkeypatch.setattr(plugin, "_low_level_execute_command", host.execute)
        module = sys.modules[type(plugin).__module__]
        # Nothing is brought to a host that is not there.
        monkeypatch.setattr(module, "deliver", lambda *_: {BACKUP["sha256"]: "/x"}, raising=False)
        monkeypatch.setattr(module, "contents", lambda _: (), raising=False)
        variables = {"inventory_hostname": "cp1", "group_names": [], "ansible_play_hosts": ["cp1"]}
        try:
            return plugin.run(task_vars=variables), host
        except AnsibleError as error:
            return error, host

    return run


def test_every_operation_is_asked_by_some_task(act: Any) -> None:
    asked = {one for action, arguments in CALLS for one in act(action, arguments, sent({"failed": "x"}))[1].asked}
    assert asked | LATER == {(module, operation) for module, operation, _ in ANSWERS}


@pytest.mark.parametrize(("action", "arguments"), CALLS, ids=IDS)
def test_all_but_what_is_declared_to_read_takes_the_cluster_lock(
    act: Any, action: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    monkeypatch.setattr(hold, "take", lambda *_: taken.append(True))
    _, host = act(action, arguments, sent({"failed": "x"}))
    module, operation = host.asked[0]
    assert Answer(Nothing).reads is False
    assert bool(taken) != border.answer_to(module, {"operation": operation}).reads


def refused(outcome: Any) -> bool:
    """Whether it is a failure, or what a plugin returns for a host that does not answer: others are asked then."""
    if isinstance(outcome, AnsibleError):
        return not isinstance(outcome, AnsibleConnectionFailure)
    return outcome.get("answered") is False or "failure" in outcome


@pytest.mark.parametrize(("action", "arguments"), CALLS, ids=IDS)
def test_no_key_of_ansibles_comes_out_of_an_answer(act: Any, action: str, arguments: dict[str, Any]) -> None:
    _, host = act(action, arguments, sent({"failed": "x"}))
    module, operation = host.asked[0]
    form = border.answer_to(module, {"operation": operation}).form
    for key, item in RESERVED.items():
        for answer in keys_at_any_depth(sample(form), key, item):
            outcome, _ = act(action, arguments, sent({"result": answer}))
            if not refused(outcome):
                # Only mappings of any names take it; nothing is to come of it but data at its own place.
                assert get_origin(form) is dict or free_mappings(form), key
                assert not (RESERVED.keys() - ALLOWED) & outcome.keys(), key


ALLOWED = {"changed", "diff", "warnings", "failed", "msg"}


def free_mappings(form: Any) -> bool:
    return any(
        "Dict" in kind_of(kind) or "dict" in kind_of(kind)
        for one in forms(form)
        for kind in one.__annotations__.values()
    )


@pytest.mark.parametrize(("action", "arguments"), CALLS, ids=IDS)
@pytest.mark.parametrize("answer", [MALFORMED[name] for name in BRIEF], ids=BRIEF)
def test_a_task_ends_in_a_clear_failure(act: Any, action: str, arguments: dict[str, Any], answer: str) -> None:
    outcome, host = act(action, arguments, answer)
    assert host.asked
    assert refused(outcome)


@pytest.mark.parametrize(("action", "arguments"), CALLS, ids=IDS)
def test_a_right_answer_brings_no_key_of_its_own(act: Any, action: str, arguments: dict[str, Any]) -> None:
    """Values are the host's, names are not: of a host that lies in a form that is right, too."""
    _, host = act(action, arguments, sent({"failed": "x"}))
    module, operation = host.asked[0]
    outcome, _ = act(
        action, arguments, sent({"result": sample(border.answer_to(module, {"operation": operation}).form)})
    )
    if isinstance(outcome, dict):
        assert not (RESERVED.keys() - ALLOWED) & outcome.keys()
        assert json.dumps(outcome)


NETWORK: dict[str, Any] = {
    "nodes": {"cp1": {"address": "192.0.2.11", "pod": "10.244.0.2"}},
    "cluster_ip": "10.96.0.77",
    "node_port": 30080,
    "port": 8080,
    "dns": {"server": "10.96.0.10", "names": {"kubernetes.default.svc.cluster.local": "10.96.0.1"}},
    "path": "/registry/configmaps/kube-system/kubeinstall-verify-01234567",
    "token": "0" * 32,
}
CHECK = {"check": "pods", "host": "cp1", "problems": [], "detail": ""}
SAVED = {
    "sha256": "0" * 64,
    "size": 1,
    "cluster_id": "a",
    "etcd_version": "3",
    "revision": 1,
    "keys": 1,
    "authorities": [],
}
COMPARED: dict[str, Any] = {
    "architecture": "amd64", "changes": [], "certificates": {}, "needs": {"binaries": [], "images": []},
    "unit": None, "bootstraps": [], "worked": False, "replaces": [],
}  # fmt: skip
STATUS: dict[str, Any] = {"components": [], "nodes": None, "leaders": [], "api": "", "member": None}
CLUSTER = ("verify_probe", {"part": "cluster", "spec": WHICH})
ANNOUNCED = ("etcd_member", {"state": "announced", **ONE})
CERTIFICATE = {"certificate": None, "pair": False, "attributes": True}
SAVE = ("etcd_backup", TASKS["etcd_backup"][1])
UNIT = "192.0.2.1\nExecStartPre=/bin/sh"
# {what: (task, an answer of its form)}: what goes to other hosts, or into commands and paths, is judged by its content.
LIES: dict[str, tuple[tuple[str, dict[str, Any]], dict[str, Any]]] = {
    "a check of a foreign host": (CLUSTER, {"checks": [{**CHECK, "host": "other"}], "network": None}),
    "an option as path": (CLUSTER, {"checks": [], "network": {**NETWORK, "path": "--endpoints=x"}}),
    "another key of etcd": (CLUSTER, {"checks": [], "network": {**NETWORK, "path": "/registry/secrets/kube-system/x"}}),
    "a foreign node": (CLUSTER, {"checks": [], "network": {**NETWORK, "nodes": {"other": NETWORK["nodes"]["cp1"]}}}),
    "no address": (CLUSTER, {"checks": [], "network": {**NETWORK, "cluster_ip": "evil"}}),
    "no port": (CLUSTER, {"checks": [], "network": {**NETWORK, "port": 0}}),
    "a line in etcd's unit": (ANNOUNCED, {"changes": [], "members": {"cp2": UNIT}}),
    "an option in etcd's unit": (ANNOUNCED, {"changes": [], "members": {"cp2=x --x": "192.0.2.1"}}),
    "no network": (("flannel_network", {"state": "asked"}), {"shares": {"10.0.0.0/24/../../x": "192.0.2.1"}}),
    "another file": (SAVE, {**SAVED, "path": "/etc/shadow"}),
    "a path as digest": (
        SAVE,
        {**SAVED, "sha256": "../x", "path": "/var/tmp/kubeinstall-0/../x"},
    ),
    "certificates": (("component", TASKS["component"][0]), {**COMPARED, "certificates": {"x": CERTIFICATE}}),
    "a unit": (
        ("component", TASKS["component"][0]),
        {**COMPARED, "unit": {"living": True, "enabled": True, "why": None, "reload": None}},
    ),
    "no table of nodes": (("status", {}), {**STATUS, "nodes": [{"x": "y"}]}),
    "no leader": (("status", {**API, "leases": ["kube-scheduler"]}), {**STATUS, "nodes": []}),
    "no check of a component": (
        ("verify_probe", {"part": "host", "spec": {"components": [{"check": "etcd"}]}}),
        {"checks": [], "certificates": {}},
    ),
    "no pods and no reason": (CLUSTER, {"checks": [], "network": None}),
}


@pytest.mark.parametrize(("task", "answer"), LIES.values(), ids=LIES)
def test_what_goes_further_is_judged_by_its_content(act: Any, task: Any, answer: dict[str, Any]) -> None:
    outcome, _ = act(*task, sent({"result": answer}))
    assert refused(outcome), outcome


def test_what_was_asked_for_goes_further(act: Any) -> None:
    outcome, _ = act(*CLUSTER, sent({"result": {"checks": [CHECK], "network": NETWORK}}))
    assert outcome["network"] == NETWORK
    assert outcome["kubeinstall"] == {"kind": "cluster-checks", "version": 1, "checks": [CHECK]}
    outcome, _ = act(*ANNOUNCED, sent({"result": {"changes": ["x"], "members": {"cp2": "192.0.2.12"}}}))
    assert outcome["members"] == {"cp2": "192.0.2.12"}


def test_a_host_claims_no_more_than_the_task_asks_for(act: Any) -> None:
    arguments = {"name": "some", "unit": None, "replaces": ["docker"], "replacing": "leave"}
    for claimed, left in ((["docker", "etcd"], ["docker"]), (["etcd"], None)):
        outcome, _ = act("component", arguments, sent({"result": {**COMPARED, "replaces": claimed}}))
        assert outcome.get("replaces") == left


@pytest.mark.parametrize("machine_id", ["", Path("/etc/machine-id").read_text().strip()])
def test_this_machine_is_never_rebooted(act: Any, machine_id: str) -> None:
    answer = {"before": "b 1", "rebooted": False, "machine_id": machine_id}
    outcome, _ = act("boot", {"state": "spared"}, sent({"result": answer}))
    assert isinstance(outcome, AnsibleError)
    assert "Nothing was changed" in str(outcome)
