"""The manifests task in a playbook: templates, files, objects, check mode, diff, and what it says of mistakes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.api import API

from kubeinstall.events import RunResult
from kubeinstall.runs import run

NAMESPACE = "task-demo"
TEMPLATE = """\
apiVersion: v1
kind: Namespace
metadata: {name: {{ name }}}
---
{% for number in range(2) %}
apiVersion: v1
kind: ConfigMap
metadata: {name: map-{{ number }}, namespace: {{ name }}}
data: {ports: 80:30, day: 2026-01-01}
---
{% endfor %}
"""


@pytest.fixture
def folder(tmp_path: Path, api_access: dict[str, Any]) -> Iterator[Path]:
    """A playbook's folder; what the playbook makes is removed again."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "objects.yaml.j2").write_text(TEMPLATE)
    (tmp_path / "hosts").write_text(f"here ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    yield tmp_path
    with closing(API(**api_access, patience=5)) as api:
        for name in ("map-0", "map-1"):
            if api.get(path := f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"):
                api.request("DELETE", path)


def play(
    folder: Path, access: dict[str, Any], manifests: Sequence[object], *, check: bool = False, **keywords: Any
) -> RunResult:
    task = {"name": "Apply", "kubeinstall.cluster.manifests": access | {"manifests": manifests, "timeout": 5}}
    whole = {"hosts": "all", "gather_facts": False, "vars": {"name": NAMESPACE}, "tasks": [task]} | keywords
    (folder / "play.yml").write_text(yaml.safe_dump([whole]))
    return run([folder / "play.yml"], folder / "hosts", check=check, diff=check)


def changes(result: RunResult) -> list[str]:
    """What the task has returned."""
    (event,) = [event for event in result.events if event.kind in ("ok", "changed")]
    return list(event.result["changes"])


def test_template_file_and_object(folder: Path, api_access: dict[str, Any]) -> None:
    binding = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map-0"}, "data": {"from": "a list"}}
    (folder / "list.yml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [binding]}))
    manifests = [{"src": "objects.yaml.j2"}, {"file": str(folder / "list.yml")}]
    expected = [f"create Namespace {NAMESPACE}", *(f"create ConfigMap {NAMESPACE}/map-{n}" for n in range(2))]
    expected.append("create ConfigMap default/map-0")
    predicted = play(folder, api_access, manifests, check=True)
    assert changes(predicted) == expected
    diffs = [entry for event in predicted.events for entry in event.diff]
    assert "ports: 80:30" in diffs[1]["after"].replace("'", "")
    assert diffs[1]["after_header"] == f"ConfigMap {NAMESPACE}/map-0 (objects.yaml.j2, document 2)"
    applied = play(folder, api_access, manifests)
    assert changes(applied) == expected
    assert play(folder, api_access, manifests).changed == 0


def test_every_mistake_at_once(folder: Path, api_access: dict[str, Any]) -> None:
    broken = "kind: ConfigMap\napiVersion: v1\nmetadata: {generateName: a-}\n---\n- 1\n"
    twice = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "twice"}}
    manifests = [
        {"content": broken},
        {"content": "a: [1"},
        {"object": twice},
        {"object": twice},
        {"file": "/no/such.yml"},
    ]
    (failure,) = play(folder, api_access, manifests).failures
    for words in (
        "manifests item 1, document 1: the ConfigMap has no metadata.name",
        "manifests item 1, document 2: a Kubernetes object is a mapping, this is a list",
        "manifests item 2: this is not YAML",
        "manifests item 4: ConfigMap twice was written before, in manifests item 3",
        "/no/such.yml: the manifest can't be read",
    ):
        assert words in failure.message


def test_no_api_server_is_said(folder: Path, api_access: dict[str, Any]) -> None:
    access = api_access | {"server": "https://127.0.0.1:1"}
    (failure,) = play(folder, access, [{"src": "objects.yaml.j2"}]).failures
    assert "the API server at https://127.0.0.1:1 did not answer within 5 s" in failure.message
    would = play(folder, access, [{"src": "objects.yaml.j2"}], check=True)
    assert len(changes(would)) == 3


def test_another_api_server_serves_where_its_own_is_down(folder: Path, api_access: dict[str, Any]) -> None:
    access = api_access | {"server": "https://127.0.0.1:1"}
    # As the playbooks say it, for tasks that do not.
    others = {"kubeinstall.cluster.manifests": {"others": "{{ ['https://127.0.0.1:2', well] }}"}}
    keywords: dict[str, Any] = {"vars": {"name": NAMESPACE, "well": api_access["server"]}, "module_defaults": others}
    applied = play(folder, access, [{"src": "objects.yaml.j2"}], **keywords)
    assert applied.failures == ()
    assert "map-1" in str(changes(applied))
    assert play(folder, access, [{"src": "objects.yaml.j2"}], check=True, **keywords).changed == 0
