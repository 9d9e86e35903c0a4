"""Runs an operation of `module_utils/hostside` on the task's host, in one round trip.

Ansible's own way wraps a module in a 170 KB archive that costs 140 ms to unpack and import on each host. The sources of
the modules that the operation needs go over the same connection, with the same become method, as a script on the
interpreter's standard input instead.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import shlex
import zlib
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import hold
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.border import (
    HOSTSIDE,
    StalledError,
    answer_to,
    result_of,
)
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.connections import interpreter
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils.limits import DEVICE, limited

from kubeinstall.text import printable

# Characters that are looked at of what a host prints in place of an answer.
LAST = 10_000
BEGIN, END = "<<<kubeinstall", "kubeinstall>>>"
DOCSTRING = re.compile(r'\A""".*?"""', re.DOTALL)
COMMENTS = re.compile("^ *#.*$", re.MULTILINE)
# Of a function or a class: an empty one stays, since it may be all that there is.
INNER_DOCSTRING = re.compile(r'(?<=:\n)( +)""".*?"""$', re.DOTALL | re.MULTILINE)
# Ansible's words where the process that reads has ended; where ssh has failed, it adds what ssh said.
BROKEN_PIPE = re.compile("Data could not be sent to remote host [^ ]+ Make sure this host can be reached over SSH[.]$")
WRAPPED = re.compile("^.*(?:to the host via ssh|be reached over ssh):", re.DOTALL)
IMPORTS = re.compile(r"^ *from \.(\w*) import ([\w, ]*)", re.MULTILINE)

# -I and -S: no site-packages, no environment of the host's can change what runs. The sources become a package of
# their own.
LOADER = """\
import binascii, json, sys, zlib
if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old: 3.9 or later is needed" % sys.version_info[:2])
SOURCES = json.loads(zlib.decompress(binascii.a2b_base64(SOURCES)))
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
from hostside.stalls import supervise
def envelope(answer):
    # No text in an answer looks like one of the markers around it.
    text = json.dumps(answer).replace("<", "\\u003c").replace(">", "\\u003e")
    return "\\n".join((BEGIN, text, END, ""))
supervise(lambda stalled: envelope({"stalled": stalled}))
try:
    answer = {"result": import_module("hostside." + MODULE).main(json.loads(SPEC))}
except HostError as error:
    answer = {"failed": str(error)}
except Exception:
    import traceback
    answer = {"crashed": traceback.format_exc(limit=-6)}
print(envelope(answer))
"""


def needed(module: str) -> frozenset[str]:
    """The modules of hostside that `module` imports, also those that it imports only when it needs them, and itself."""
    found: set[str] = set()
    waiting = {"__init__", "errors", "stalls", module}
    while waiting:
        found |= waiting
        waiting = {name for one in waiting for name in _imports(one)} - found
    return frozenset(found)


def _imports(module: str) -> set[str]:
    # By its text: each worker does this again for each task, and parsing the modules would cost it ten times as much.
    found = IMPORTS.findall((HOSTSIDE / f"{module}.py").read_text())
    return {name for parent, names in found for name in ([parent] if parent else re.split(r"[,\s]+", names.strip()))}


@functools.cache
def _sources(module: str) -> str:
    """The modules as the loader takes them: {name: text} as JSON, compressed, as base64."""
    sources = {name: _source(name) for name in sorted(needed(module))}
    return base64.b64encode(zlib.compress(json.dumps(sources).encode(), 9)).decode()


def _source(name: str) -> str:
    """The text without docstrings and comments. Lines stay: tracebacks from hosts have the file's line numbers."""
    text = (HOSTSIDE / f"{name}.py").read_text()
    text = COMMENTS.sub("", DOCSTRING.sub(lambda found: "\n" * found[0].count("\n"), text))
    return INNER_DOCSTRING.sub(lambda found: f'{found[1]}""' + "\n" * found[0].count("\n"), text)


def script(module: str, spec: Mapping[str, Any]) -> str:
    """What the host's Python is given: prints the answer of `hostside.MODULE.main(spec)` between BEGIN and END."""
    return "\n".join(
        (
            f"SOURCES = {_sources(module)!r}",
            f"MODULE = {module!r}",
            f"SPEC = {json.dumps(spec)!r}",
            f"BEGIN, END = {BEGIN!r}, {END!r}",
            LOADER,
        )
    )


def call(action: ActionBase, task_vars: Mapping[str, Any], module: str, spec: Mapping[str, Any]) -> Any:
    """Run `hostside.MODULE.main(spec)` on the task's host, as the task's user and with its become.

    Returns the NamedTuple that the module's ANSWERS declare for the operation (hostside/answers.py). Raises
    AnsibleActionFail with the host's message where the operation fails there and where the answer is not of that form,
    and lets Ansible's own AnsibleConnectionFailure pass where the host can't be reached. Outside of check mode, and for
    all that does not only read, the run holds the cluster from then on; where another one does, that is the message.
    """
    answer = answer_to(module, spec)
    if not answer.reads and not action._task.check_mode:
        hold.take(action, task_vars)
    hold.check()
    python = interpreter(action, task_vars)
    delegated = action._task.delegate_to
    name = f"{delegated} is " if delegated else ""
    try:
        with limited(answer.limit(spec)) as limit:
            executed = _executed(action, python, script(module, spec).encode())
    except AnsibleConnectionFailure as failure:
        if limit.exceeded:
            raise _unreachable(name, limit.exceeded) from None
        raise AnsibleConnectionFailure(f"{name}unreachable over SSH: {_reason(str(failure))}") from None
    if limit.exceeded:
        raise _unreachable(name, limit.exceeded)
    stdout = str(executed["stdout"])
    if BEGIN not in stdout:
        raise AnsibleActionFail(_no_answer(python, executed))
    try:
        return result_of(stdout, BEGIN, END, module, answer.form)
    except StalledError as error:
        raise _unreachable(name, f"{printable(str(error))}. {DEVICE}") from None


def _executed(action: ActionBase, python: str, sent: bytes) -> Mapping[str, Any]:
    try:
        return dict(action._low_level_execute_command(f"{shlex.quote(python)} -I -S -", in_data=sent))
    except AnsibleConnectionFailure as failure:
        if not BROKEN_PIPE.search(str(failure)):
            raise
        # A sudo that ended before it has read all. This one says why.
        executed = dict(action._low_level_execute_command("true"))
        if executed["rc"] == 0:
            raise
        return executed


def _reason(message: str) -> str:
    """What ssh has said, without Ansible's sentences before it, and without what is only about a shared connection."""
    lines = WRAPPED.sub("", printable(message)).strip().splitlines()
    # A shared connection is ended by its keepalives without a word.
    return "\n".join(line for line in lines if not line.startswith("mux_client_")) or "the connection was lost"


def _unreachable(name: str, why: str) -> AnsibleConnectionFailure:
    return AnsibleConnectionFailure(f"{name}unreachable: {why}")


def _no_answer(python: str, executed: Mapping[str, Any]) -> str:
    parts = (printable(str(executed.get(key) or "")[-LAST:]).strip() for key in ("stderr", "stdout"))
    printed = "\n".join(filter(None, parts))
    code = executed.get("rc")
    if "sudo" in printed and "not found" in printed:
        return "there is no sudo on the host: install it, or log in as root"
    if code == 127 or "not found" in printed or "No such file" in printed:
        return f"no Python at {python}: install python3 (3.9 or later) on the host, or set ansible_python_interpreter"
    if "a password is required" in printed or "Missing sudo password" in printed:
        return "sudo asks for a password: give it with --ask-become-pass or ansible_become_password"
    return f"{python} ended with code {code} and without an answer: {printed[-2000:] or 'it printed nothing'}"
