"""The manifests task as a playbook runs it: templates, files and objects, check mode and diff, and what it says of mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
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


def play(folder: Path, access: dict[str, Any], manifests: list[dict[str, Any]], *options: str) -> dict[str, Any]:
    """The result of one manifests task run on this machine itself."""
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "objects.yaml.j2").write_text(TEMPLATE)
    task = {"name": "Apply", "kubeinstall.cluster.manifests": access | {"manifests": manifests, "timeout": 5}}
    whole = {"hosts": "localhost", "gather_facts": False, "vars": {"name": NAMESPACE}, "tasks": [task]}
    (folder / "play.yml").write_text(yaml.safe_dump([whole]))
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    command = ["-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(
        [sys.executable, *command, *options, str(folder / "play.yml")],
        env=environment | {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"code": done.returncode, "said": done.stdout + done.stderr}
