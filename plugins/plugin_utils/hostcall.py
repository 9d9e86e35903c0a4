"""Runs a function of `module_utils/hostside` on the task's host, in one round trip.

Ansible's own way wraps a module in a 170 KB archive that costs 140 ms to unpack and import on each host. These
sources go
over the same connection, with the same become method, as a script on the interpreter's standard input instead.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import interpreter

HOSTSIDE = Path(__file__).resolve().parent.parent / "module_utils" / "hostside"
BEGIN, END = "<<<kubeinstall", "kubeinstall>>>"
# These look and change nothing that others would; all the rest is for one run at a time.
READING = ("certificates_list", "etcd_backup", "network_probe", "probe", "status", "verify_cluster", "verify_host")
ASKING = ("ask", "foresee", "prove", "shares")

# -I and -S: no site-packages, no environment of the host's can change what runs. The sources become a package of
# their own.
LOADER = """\
import json, sys
if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old: 3.9 or later is needed" % sys.version_info[:2])
from importlib.machinery import ModuleSpec
class Sources:
    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package == "hostside" and (module or "__init__") in SOURCES:
            return ModuleSpec(name, self, is_package=not module)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__.partition(".")[2] or "__init__"
        exec(compile(SOURCES[name], "hostside/" + name + ".py", "exec"), module.__dict__)
sys.meta_path.insert(0, Sources())
from importlib import import_module
from hostside.errors import HostError
try:
    answer = {"result": import_module("hostside." + MODULE).main(json.loads(SPEC))}
except HostError as error:
    answer = {"failed": str(error)}
except Exception:
    import traceback
    answer = {"crashed": traceback.format_exc(limit=-6)}
"""


@functools.cache
def _sources() -> str:
    return repr({path.stem: path.read_text() for path in sorted(HOSTSIDE.glob("*.py"))})


def call(action: ActionBase, task_vars: Mapping[str, Any], module: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run `hostside.MODULE.main(spec)` on the task's host, as the task's user and with its become.

    `spec` and the result are JSON objects. Raises AnsibleActionFail with a sentence where the host says no, and lets
    Ansible's own AnsibleConnectionFailure pass where the host can't be reached. Outside of check mode, and for all that
    does not only read, the run holds the cluster from then on; where another one does, that is the sentence.
    """
    reads = module in READING or spec.get("operation") in ASKING
    if not reads and not action._task.check_mode:
        hold.take(action, task_vars)
    hold.check()
    python = interpreter(action, task_vars)
    script = "\n".join(
        (
            f"SOURCES = {_sources()}",
            f"MODULE = {module!r}",
            f"SPEC = {json.dumps(spec)!r}",
            LOADER,
            f"print({BEGIN!r}); print(json.dumps(answer)); print({END!r})",
        )
    )
    try:
        executed = action._low_level_execute_command(f"{python} -I -S -", in_data=script.encode())
    except AnsibleConnectionFailure as failure:
        if "Data could not be sent" not in str(failure):
            raise
        # Ansible says so of a host that is away, and of a sudo that ends before it has read all: that one says more.
        executed = action._low_level_execute_command("true")
        if executed["rc"] == 0:
            raise
    answer = _answer(str(executed["stdout"]))
    if answer is None:
        raise AnsibleActionFail(_no_answer(python, executed))
    if "result" in answer:
        return dict(answer["result"])
    if "failed" in answer:
        raise AnsibleActionFail(str(answer["failed"]))
    raise AnsibleActionFail(f"hostside.{module} ended unexpectedly on the host:\n{answer['crashed']}")


def _answer(stdout: str) -> dict[str, Any] | None:
    _, begin, rest = stdout.partition(BEGIN)
    text, end, _ = rest.partition(END)
    return dict(json.loads(text)) if begin and end else None


def _no_answer(python: str, executed: Mapping[str, Any]) -> str:
    said = "\n".join(part.strip() for part in (executed.get("stderr"), executed.get("stdout")) if part and part.strip())
    code = executed.get("rc")
    if "sudo" in said and "not found" in said:
        return "there is no sudo on the host: install it, or log in as root"
    if code == 127 or "not found" in said or "No such file" in said:
        return f"no Python at {python}: install python3 (3.9 or later) on the host, or set ansible_python_interpreter"
    if "a password is required" in said or "Missing sudo password" in said:
        return "sudo asks for a password: give it with --ask-become-pass or ansible_become_password"
    return f"{python} ended with code {code} and without an answer: {said[-2000:] or 'it printed nothing'}"
