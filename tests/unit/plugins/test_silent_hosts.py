"""A host that stops to answer in the middle of a call, behind a real sshd, by the project's own ansible.cfg."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.kubeinstall.cluster.plugins.plugin_utils import delivery, fetching, hold

from tests.lab import eventually, recap
from tests.sshd import Sshd, by_ssh

ROOT = Path(__file__).resolve().parents[3]
PLAY = [
    {
        "hosts": "node1",
        "gather_facts": False,
        "tasks": [{"name": "Read the host's certificates", "kubeinstall.cluster.certificates": None}],
    }
]
# Where the folder says so, the call goes on for ever.
PYTHON = """\
#!/bin/sh
[ -e {folder}/hang ] || exec {python} "$@"
echo $$ >>{folder}/called
exec sleep 600
"""


PLAYBOOK = """\
from ansible.cli.playbook import main
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.answers import Answer
Answer.limit = lambda *_: {}
main()
"""


@dataclass
class Ended:
    """How a run ended, after how many seconds."""

    text: str
    seconds: float

    @property
    def unreachable(self) -> int:
        return recap(self.text)["node1"]["unreachable"]


class Run:
    """Runs of a playbook that asks one host behind this sshd."""

    # What a call may take.
    seconds = 90

    def __init__(self, sshd: Sshd, folder: Path) -> None:
        self.sshd, self.folder = sshd, folder
        python = folder / "python"
        python.write_text(PYTHON.format(folder=folder, python=sys.executable))
        python.chmod(0o755)
        variables = by_ssh(sshd, ansible_python_interpreter=str(python))
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"node1": variables}}}))
        (folder / "play.yml").write_text(json.dumps(PLAY))

    @contextmanager
    def begun(self) -> Iterator[Callable[[], Ended]]:
        command = [sys.executable, "-c", PLAYBOOK.format(self.seconds)]
        command += ["-i", str(self.folder / "hosts.yml"), str(self.folder / "play.yml")]
        began = time.monotonic()
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:

            def ended() -> Ended:
                text, _ = process.communicate(timeout=120)
                return Ended(text, time.monotonic() - began)

            try:
                yield ended
            finally:
                process.kill()

    def whole(self) -> Ended:
        with self.begun() as ended:
            return ended()

    def hang(self) -> None:
        (self.folder / "hang").touch()

    def called(self) -> bool:
        return (self.folder / "called").exists()


@pytest.fixture
def run(sshd: Sshd, tmp_path: Path) -> Iterator[Run]:
    with sshd.running():
        try:
            yield Run(sshd, tmp_path)
        finally:
            # What a host was left with.
            called = tmp_path / "called"
            for pid in called.read_text().split() if called.exists() else ():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def test_a_host_that_freezes_during_a_call_is_unreachable(run: Run) -> None:
    assert run.whole().unreachable == 0
    run.hang()
    with run.begun() as ended:
        eventually(run.called, 30, "the call")
        with run.sshd.frozen():
            began = time.monotonic()
            first = ended()
            assert first.unreachable == 1
            assert time.monotonic() - began < 30, first.text
            assert "unreachable over SSH" in first.text
            # Nothing of the connection that was kept is used again.
            second = run.whole()
            assert second.unreachable == 1
            assert second.seconds < 25, second.text
    (run.folder / "hang").unlink()
    assert run.whole().unreachable == 0


def test_a_call_that_does_not_end_is_ended(run: Run) -> None:
    run.hang()
    run.seconds = 4
    ended = run.whole()
    assert ended.unreachable == 1
    assert "unreachable: no answer within 4 s. A disk" in " ".join(ended.text.split())
    assert ended.seconds < 25, ended.text


@pytest.fixture
def shared(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """An action whose host does this with what it is sent, over a connection that is shared and goes on."""
    place = tempfile.mkdtemp(prefix="kubeinstall-")
    options = [*f"{sshd.arguments} -i {sshd.folder / 'user'} -p {sshd.port}".split(), f"-oControlPath={place}/master"]
    master = ["ssh", *options, "-oControlMaster=yes", "-N", "127.0.0.1"]

    def action(command: str) -> Any:
        words = [os.fsencode(word) for word in ["ssh", *options, "127.0.0.1", command]]
        for module in (delivery, fetching):
            monkeypatch.setattr(module, "interpreter", lambda *_: "python3")
            monkeypatch.setattr(module, "streaming", lambda *_: True)
            monkeypatch.setattr(module, "command_over", lambda *_: words)
            monkeypatch.setattr(module, "IDLE_SECONDS", 2)
        monkeypatch.setattr(hold, "check", lambda: None)
        return SimpleNamespace(_connection=None, _play_context=SimpleNamespace(remote_addr=""))

    with sshd.running(), subprocess.Popen(master) as process:
        eventually(lambda: Path(place, "master").exists(), 60, "the shared connection")
        yield action
        process.terminate()
    shutil.rmtree(place)


@pytest.mark.parametrize("command", ["sleep 30", "cat >/dev/null; yes", "cat >/dev/null; yes >&2"])
def test_a_delivery_that_does_not_move_on_is_ended(shared: Callable[[str], Any], tmp_path: Path, command: str) -> None:
    (tmp_path / "large").write_bytes(bytes(16 << 20))
    with pytest.raises(AnsibleConnectionFailure, match="a transfer of files has not moved on for 2 s"):
        delivery.deliver(shared(command), {}, [(tmp_path / "large", "0" * 64)])


def test_a_file_of_a_host_that_does_not_move_on_is_given_up(shared: Callable[[str], Any], tmp_path: Path) -> None:
    with pytest.raises(AnsibleConnectionFailure, match="a transfer of files has not moved on for 2 s"):
        fetching.fetch(shared("echo begun; sleep 30"), {}, "x", tmp_path / "x", 1 << 20, "0" * 64)
    assert not (tmp_path / "x").exists()
