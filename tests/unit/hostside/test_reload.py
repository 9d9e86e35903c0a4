"""A service that reads a file again when it is reloaded is not restarted for it, and misses no change of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import component
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError

from tests.unit.hostside.test_component import a_file, spec_of

UNIT = "demo.service"
# As much of systemd as one unit needs, for there is none here: its state is the files beside the program, and `log`
# holds what was done to it. A reload fails where the file `refuse` is.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
for word; do case $word in show|disable|start|restart|reload) verb=$word;; esac; done
case $verb in
start|restart)
    echo x >>invocations
    echo active >active
    python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)' >started;;
reload) [ ! -e refuse ] || exit 1;;
disable) verb=$*;;
show)
    echo LoadState=loaded
    echo ActiveState=$(cat active 2>/dev/null || echo inactive)
    echo UnitFileState=enabled
    echo InvocationID=$(wc -l <invocations 2>/dev/null)
    echo ExecMainStartTimestampMonotonic=$(cat started 2>/dev/null)
    exit;;
*) exit;;
esac
echo $verb >>log
"""


class Service:
    """The unit on a temporary root, with a file it reads at its start and one that it reads when it is reloaded."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root, self._programs = root, programs
        self.files = {"start": "one\n", "reload": "one\n"}

    @property
    def spec(self) -> dict[str, Any]:
        files = [
            a_file(self.files["start"], dest=f"/etc/systemd/system/{UNIT}"),
            a_file(self.files["reload"], dest="/etc/demo/demo.conf", reload=True),
        ]
        return spec_of(self.root, files=files, unit=UNIT)

    def foreseen(self) -> str:
        unit = component.main(self.spec | {"operation": "compare"})["unit"]
        assert not (unit["why"] and unit["reload"])
        return f"restart: {unit['why']}" if unit["why"] else f"reload: {unit['reload']}" if unit["reload"] else ""

    def apply(self) -> list[str]:
        """What was done to the unit."""
        before = self.done()
        component.main(self.spec | {"operation": "apply"})
        return self.done()[len(before) :]

    def done(self) -> list[str]:
        log = self._programs / "log"
        return log.read_text().split() if log.exists() else []

    def by_hand(self, verb: str) -> None:
        subprocess.run([self._programs / "systemctl", verb, UNIT], check=True)

    def refuse(self) -> None:
        (self._programs / "refuse").touch()

    def accept(self) -> None:
        (self._programs / "refuse").unlink()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()
    root.mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "journalctl": "#!/bin/sh\necho its last words\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    made = Service(root, programs)
    assert made.apply() == ["start"]
    assert made.foreseen() == ""
    return made


def test_its_change_is_a_reload_and_nothing_more(service: Service) -> None:
    service.files["reload"] = "two\n"
    assert service.foreseen() == "reload: what it reads has changed"
    assert service.apply() == ["reload"]
    assert service.foreseen() == ""
    assert service.apply() == []


def test_a_restart_reads_it_too(service: Service) -> None:
    service.files = {"start": "two\n", "reload": "two\n"}
    assert service.foreseen() == "restart: what it reads has changed"
    assert service.apply() == ["restart"]
    assert service.foreseen() == ""


def test_a_change_by_hand_is_taken_back_also_where_the_service_has_read_it(service: Service) -> None:
    (service.root / "etc/demo/demo.conf").write_text("by hand\n")
    service.by_hand("reload")
    assert service.foreseen() == "reload: what it reads has changed"
    assert service.apply() == ["reload"]
    assert service.foreseen() == ""


def test_a_service_that_started_since_has_read_it(service: Service) -> None:
    service.files["reload"] = "two\n"
    service.apply()
    service.by_hand("restart")
    assert service.foreseen() == ""


def test_a_service_that_started_before_it_was_touched_has_not(service: Service) -> None:
    service.by_hand("restart")
    path, started = service.root / "etc/demo/demo.conf", time.time()
    # Files tell their times by a coarser clock, which may be behind.
    while path.stat().st_ctime <= started:
        os.utime(path)
    assert service.foreseen().startswith("reload: ")
    assert "demo.conf was changed after it was started" in service.foreseen()
    assert service.apply() == ["reload"]
    assert service.foreseen() == ""


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_run_killed_between_the_write_and_the_reload_is_made_good(service: Service, by_hand: bool) -> None:
    """Also where the file is what it was when the service was reloaded last, and only a hand changed it meanwhile."""
    if by_hand:
        (service.root / "etc/demo/demo.conf").write_text("by hand\n")
        service.by_hand("reload")
    else:
        service.files["reload"] = "two\n"
    script = (
        "import json, os, signal, sys\n"
        "from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import component, units\n"
        "units.reload = lambda host, unit: os.kill(os.getpid(), signal.SIGKILL)\n"
        "component.main(json.load(sys.stdin))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(service.spec | {"operation": "apply"}),
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        check=False,
    )
    assert killed.returncode == -9
    assert (service.root / "etc/demo/demo.conf").read_text() == service.files["reload"]
    assert service.foreseen() == "reload: what it reads has changed"
    assert service.apply() == ["reload"]
    assert service.foreseen() == ""


def test_a_reload_that_fails_is_said_and_tried_again(service: Service) -> None:
    service.files["reload"] = "nonsense\n"
    service.refuse()
    with pytest.raises(HostError, match=r"demo\.service did not take its changed files.*\n.*its last words"):
        service.apply()
    assert service.foreseen() == "reload: what it reads has changed"
    service.accept()
    assert service.apply() == ["reload"]
    assert service.foreseen() == ""


def test_services_without_such_files_know_no_reload(service: Service) -> None:
    spec = spec_of(service.root, files=[a_file("one\n", dest=f"/etc/systemd/system/{UNIT}")], unit=UNIT, name="other")
    component.main(spec | {"operation": "apply"})
    assert component.main(spec | {"operation": "compare"})["unit"]["reload"] is None
