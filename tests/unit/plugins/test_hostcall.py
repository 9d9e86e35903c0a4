"""What is sent to a host, and the error where it does not take it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import border, hostcall

BROKEN = AnsibleConnectionFailure(
    "Data could not be sent to remote host '192.0.2.21'. Make sure this host can be reached over SSH."
)
AWAY = AnsibleConnectionFailure(
    'Data could not be sent to remote host "192.0.2.21". Make sure this host can be reached over ssh: ssh: connect to'
    " host 192.0.2.21 port 22: No route to host"
)


class Action:
    """Answers what it is given, in order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self._task = SimpleNamespace(delegate_to=None)

    def _low_level_execute_command(self, command: str, **_: bytes) -> Any:
        self.asked.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def told(monkeypatch: pytest.MonkeyPatch, action: Action) -> AnsibleError:
    monkeypatch.setattr(hostcall, "interpreter", lambda *_: "/usr/bin/python3")
    with pytest.raises(AnsibleError) as raised:
        hostcall.call(action, {}, "probe", {})
    assert action.answers == []
    return raised.value


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (AnsibleError("Missing sudo password"), "Missing sudo password"),
        ({"rc": 1, "stdout": "", "stderr": "sudo: a password is required"}, "sudo asks for a password: give it with"),
    ],
)
def test_sudo_that_ends_before_it_has_read_all_says_why(
    monkeypatch: pytest.MonkeyPatch, second: Any, sentence: str
) -> None:
    error = told(monkeypatch, Action(BROKEN, second))
    assert not isinstance(error, AnsibleConnectionFailure)
    assert sentence in str(error)


def test_a_host_that_ssh_does_not_reach_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = told(monkeypatch, Action(AWAY))
    assert isinstance(error, AnsibleConnectionFailure)
    assert str(error) == "unreachable over SSH: ssh: connect to host 192.0.2.21 port 22: No route to host"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "the connection was lost"),
        ("mux_client_request_session: read from master failed: Broken pipe\r\nssh: no route", "ssh: no route"),
        ("root@192.0.2.21: Permission denied (publickey).\x1b[2J", "root@192.0.2.21: Permission denied (publickey)."),
    ],
)
def test_a_connection_that_is_lost_has_a_reason(monkeypatch: pytest.MonkeyPatch, said: str, reason: str) -> None:
    told_by = 'Data could not be sent to remote host "192.0.2.21". Make sure this host can be reached over ssh: '
    error = told(monkeypatch, Action(AnsibleConnectionFailure(told_by + said)))
    assert str(error).startswith(f"unreachable over SSH: {reason}")
    assert "\x1b" not in str(error)


def test_the_host_that_a_task_is_delegated_to_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action(AWAY)
    action._task.delegate_to = "cp1"
    assert str(told(monkeypatch, action)).startswith("cp1 is unreachable over SSH: ssh: connect to host")


def test_a_host_whose_disk_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = "dpkg (process 7) has been blocked in the kernel for 25 s\x1b[2J"
    printed = f"{hostcall.BEGIN}\n{json.dumps({'stalled': stalled})}\n{hostcall.END}\n"
    error = told(monkeypatch, Action({"rc": 0, "stdout": printed, "stderr": ""}))
    assert isinstance(error, AnsibleConnectionFailure)
    assert str(error).startswith("unreachable: dpkg (process 7) has been blocked in the kernel for 25 s")
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("second", [BROKEN, {"rc": 0, "stdout": "", "stderr": ""}])
def test_a_host_that_is_away_is_unreachable(monkeypatch: pytest.MonkeyPatch, second: Any) -> None:
    assert isinstance(told(monkeypatch, Action(BROKEN, second)), AnsibleConnectionFailure)


@pytest.mark.parametrize(
    "message",
    [
        "Failed to connect to the host via ssh",
        'Data could not be sent to remote host "192.0.2.21". Make sure this host can be reached over ssh: ssh: connect'
        " to host 192.0.2.21 port 22: Connection timed out",
    ],
)
def test_a_host_that_cannot_be_reached_is_asked_once(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action(AnsibleConnectionFailure(message))
    error = told(monkeypatch, action)
    assert isinstance(error, AnsibleConnectionFailure)
    assert str(error).startswith("unreachable over SSH: ")
    assert len(action.asked) == 1


def test_no_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action({"rc": 127, "stdout": "", "stderr": "python3: not found"})
    error = told(monkeypatch, action)
    assert isinstance(error, AnsibleActionFail)
    assert "no Python at /usr/bin/python3" in str(error)


@pytest.mark.parametrize("module", [module.__name__.rpartition(".")[2] for module in border.operations()])
def test_an_operation_is_sent_what_it_imports_and_no_more(module: str) -> None:
    sent = hostcall.needed(module)
    assert {"__init__", "errors", module} <= sent
    # All of them are 240 KB, before they are compressed.
    assert len(hostcall.script(module, {})) < 40_000
    loader = hostcall.LOADER.partition("try:")[0]
    names = sorted(sent - {"__init__"})
    imports = "".join(f"import_module('hostside.{name}')\n" for name in names)
    script = hostcall.script(module, {}).partition("SPEC = ")[0] + f"SPEC = '{{}}'\n{loader}{imports}"
    done = subprocess.run([sys.executable, "-I", "-S", "-"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def without_docstrings(text: str) -> tuple[str, list[int]]:
    """The code, and the lines of its statements."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree), [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)]


@pytest.mark.parametrize("path", sorted(hostcall.HOSTSIDE.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_sent_without_docstrings_and_is_the_same(path: Path) -> None:
    sent = hostcall._source(path.stem)
    assert without_docstrings(sent) == without_docstrings(path.read_text())


@pytest.mark.parametrize("path", sorted(hostcall.HOSTSIDE.glob("*.py")), ids=lambda path: path.stem)
def test_what_is_left_out_of_a_module_is_no_code(path: Path) -> None:
    def code(text: str) -> str:
        tree = ast.parse(text)
        if ast.get_docstring(tree) is not None:
            del tree.body[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Expr(ast.Constant(""))
        return ast.dump(tree)

    sent = hostcall._source(path.stem)
    assert code(sent) == code(path.read_text())
    assert len(sent.splitlines()) == len(path.read_text().splitlines())


@pytest.mark.parametrize("path", sorted(hostcall.HOSTSIDE.glob("*.py")), ids=lambda path: path.stem)
def test_the_imports_are_those_that_python_knows(path: Path) -> None:
    known = {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in ([node.module] if node.module else [one.name for one in node.names])
    }
    assert hostcall._imports(path.stem) == known


def test_what_is_imported_when_it_is_needed_is_sent_too() -> None:
    assert {"comparison", "application", "images", "etcd"} <= hostcall.needed("component")
    assert "registries" in hostcall.needed("probe")
    assert "etcd_restore" not in hostcall.needed("component")


def test_an_interpreter_with_a_space_is_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action({"rc": 127, "stdout": "", "stderr": ""})
    monkeypatch.setattr(hostcall, "interpreter", lambda *_: "/opt/my python; touch /tmp/x")
    with pytest.raises(AnsibleActionFail):
        hostcall.call(action, {}, "probe", {})
    assert action.asked == ["'/opt/my python; touch /tmp/x' -I -S -"]
