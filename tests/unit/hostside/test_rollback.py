"""A unit that does not become ready after a change gets its former files back and runs with them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside import application, component, removal, units
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.errors import HostError
from ansible_collections.kubeinstall.cluster.plugins.module_utils.hostside.host import Host

from tests.unit.hostside.test_component import ARCHITECTURE, a_file, spec_of

UNIT = "demo.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
# As much of systemd as one unit needs, for there is none here. The service fails where its program or a file that it
# reads says so, and notes the rest of what it was started with.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
for word; do case $word in show|start|restart|reload|daemon-reload) verb=$word;; esac; done
read_files() { cat ../root/etc/systemd/system/demo.service ../root/etc/demo/* ../root/usr/local/bin/demo 2>/dev/null; }
case $verb in
start|restart)
    echo x >>invocations
    read_files >runs-with
    if grep -q broken runs-with; then echo failed >active; else echo active >active; fi
    python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)' >started;;
reload) if read_files | grep -q refused; then exit 1; fi;;
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
RESTORED = f"Its former configuration was restored, and {UNIT} runs with it."


class Service:
    """The unit on a temporary root; `wanted` is what its spec asks for."""

    def __init__(self, root: Path, programs: Path) -> None:
        self.root, self._programs = root, programs
        self.unit, self.version, self.one_way = "one\n", "1.0.0", False
        self.files: dict[str, str] = {"demo.conf": "one\n"}
        self.reloaded: dict[str, str] = {}
        self.program = "#!/bin/sh\n# one\n"

    @property
    def spec(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.program.encode()).hexdigest()
        delivered = self._programs / digest
        delivered.write_text(self.program)
        binary = {"name": "demo", "version": self.version, "dest": "/usr/local/bin/demo"}
        return spec_of(
            self.root,
            files=[
                a_file(self.unit, dest=UNIT_FILE),
                *(a_file(text, dest=f"/etc/demo/{name}") for name, text in self.files.items()),
                *(a_file(text, dest=f"/etc/demo/{name}", reload=True) for name, text in self.reloaded.items()),
            ],
            binaries=[binary | {"digests": {ARCHITECTURE: digest}}],
            unit=UNIT,
            one_way=self.one_way,
            delivered={digest: str(delivered)},
        )

    def apply(self) -> list[str]:
        """What was done to the unit."""
        before = self.done()
        component.main(self.spec | {"operation": "apply"})
        return self.done()[len(before) :]

    def fails(self) -> str:
        with pytest.raises(HostError) as failure:
            self.apply()
        return str(failure.value)

    def differs(self) -> bool:
        found = component.main(self.spec | {"operation": "compare"})
        return bool(found["changes"] or found["unit"]["why"] or found["unit"]["reload"])

    def done(self) -> list[str]:
        log = self._programs / "log"
        return log.read_text().split() if log.exists() else []

    def tree(self) -> dict[str, str]:
        paths = [path for folder in ("etc", "usr") for path in sorted((self.root / folder).rglob("*"))]
        return {str(path.relative_to(self.root)): path.read_text() for path in paths if path.is_file()}

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "var/lib/kubeinstall/demo.json").read_text()))

    @property
    def active(self) -> str:
        return (self._programs / "active").read_text().strip()

    def by_hand(self, state: str) -> None:
        (self._programs / "active").write_text(f"{state}\n")


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
    assert not made.differs()
    return made


def test_the_former_unit_files_and_program_come_back(service: Service) -> None:
    tree, former = service.tree(), service.spec
    service.unit, service.files = "two\n", {"other.conf": "broken\n"}
    service.program, service.version = "#!/bin/sh\n# two\n", "1.1.0"
    said = service.fails()
    assert said.startswith(f"{UNIT} does not stay up. The last lines of its journal:\n  its last words\n")
    assert said.endswith(RESTORED)
    assert service.tree() == tree
    assert service.active == "active"
    assert "former" not in service.record
    found = component.main(former | {"operation": "compare"})
    assert (found["changes"], found["unit"]["why"]) == ([], None)


def test_the_next_run_tries_again_and_a_right_one_converges(service: Service) -> None:
    service.files["demo.conf"] = "broken\n"
    assert service.fails().endswith(RESTORED)
    assert service.differs()
    assert service.fails().endswith(RESTORED)
    service.files["demo.conf"] = "two\n"
    assert service.apply() == ["restart"]
    assert not service.differs()
    assert service.tree()["etc/demo/demo.conf"] == "two\n"
    assert not [path for path in service.tree() if "kubeinstall" in path]


def test_a_change_that_works_leaves_nothing_of_the_former(service: Service) -> None:
    service.files["demo.conf"] = "two\n"
    service.apply()
    assert "former" not in service.record
    assert sorted(service.tree()) == ["etc/demo/demo.conf", UNIT_FILE[1:], "usr/local/bin/demo"]


@pytest.mark.parametrize("where", ["after the files", "in the middle of the files", "before the first"])
def test_after_an_interrupted_run_the_former_is_what_worked(
    service: Service, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    tree = service.tree()
    service.unit, service.files["demo.conf"] = "two\n", "two\n"
    with monkeypatch.context() as interrupted:
        if where == "after the files":
            interrupted.setattr(application, "_start", interrupt)
        elif where == "before the first":
            interrupted.setattr(application, "_write", interrupt)
        else:
            interrupted.setattr(application.certificates, "install", interrupt)
            write = application.files.write_file

            def one(host: Any, item: dict[str, Any]) -> None:
                if item["dest"] == UNIT_FILE:
                    raise SystemExit("killed")
                write(host, item)

            interrupted.setattr(application.files, "write_file", one)
        with pytest.raises(SystemExit):
            service.apply()
    service.files["demo.conf"] = "broken\n"
    assert service.fails().endswith(RESTORED)
    assert service.tree() == tree


def interrupt(*_: Any) -> None:
    raise SystemExit("killed")


def test_an_interrupted_run_is_completed_by_the_next(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.files["demo.conf"] = "two\n"
    with monkeypatch.context() as interrupted:
        interrupted.setattr(application, "_start", interrupt)
        with pytest.raises(SystemExit):
            service.apply()
    assert service.apply() == ["restart"]
    assert not service.differs()
    assert not [path for path in service.tree() if "kubeinstall" in path]


def test_an_interrupted_restoration_is_gone_on_with(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = service.tree()
    service.files["demo.conf"] = "broken\n"
    with monkeypatch.context() as interrupted:
        interrupted.setattr(units, "daemon_reload", lambda _: interrupt())
        with pytest.raises(SystemExit):
            service.apply()
    service.files["demo.conf"] = "still broken\n"
    assert service.fails().endswith(RESTORED)
    assert service.tree() == tree


def test_what_did_not_work_before_is_not_restored(service: Service) -> None:
    service.by_hand("failed")
    service.files["demo.conf"] = "broken\n"
    assert service.fails().endswith(
        "Its former configuration was not restored, for it was not ready with that one either."
    )
    assert service.tree()["etc/demo/demo.conf"] == "broken\n"


def test_what_is_missing_by_hand_stays_where_the_run_has_put_it(service: Service) -> None:
    (service.root / "usr/local/bin/demo").unlink()
    service.files["demo.conf"] = "broken\n"
    assert service.fails().endswith(RESTORED)
    assert service.tree()["usr/local/bin/demo"] == service.program
    assert service.tree()["etc/demo/demo.conf"] == "one\n"


def test_a_start_without_a_change_is_not_tried_twice(service: Service) -> None:
    service.by_hand("inactive")
    (service.root / "etc/demo/theirs.conf").write_text("broken\n")
    before = service.done()
    assert service.fails().endswith("its last words")
    assert service.done()[len(before) :] == ["start"]


def test_a_first_start_that_fails_has_no_former(service: Service) -> None:
    component.main(service.spec | {"operation": "compare"})
    (service.root / "var/lib/kubeinstall/demo.json").unlink()
    service.by_hand("inactive")
    service.files["demo.conf"] = "broken\n"
    assert service.fails().endswith("its last words")


def test_a_former_that_does_not_work_any_more_is_said_so(service: Service) -> None:
    (service.root / "etc/demo/theirs.conf").write_text("broken\n")
    service.files["demo.conf"] = "two\n"
    said = service.fails()
    assert f"Its former configuration was restored, and does not work either: {UNIT} does not stay up" in said
    assert service.tree()["etc/demo/demo.conf"] == "one\n"


def test_a_former_that_was_never_ready_is_restarted_by_the_next_run(service: Service) -> None:
    theirs = service.root / "etc/demo/theirs.conf"
    theirs.write_text("broken\n")
    service.files["demo.conf"] = "two\n"
    service.fails()
    # It runs, and does not do its work: the cause was outside of its files.
    service.by_hand("active")
    theirs.unlink()
    service.files["demo.conf"] = "one\n"
    assert service.differs()
    assert service.apply() == ["restart"]
    assert not service.differs()
    assert "former" not in service.record


@pytest.mark.parametrize(("version", "restored"), [("1.0.1", True), ("1.1.0", False)])
def test_a_program_that_changed_its_data_does_not_go_back(service: Service, version: str, restored: bool) -> None:
    service.one_way, service.version, service.program = True, version, "#!/bin/sh\n# broken\n"
    said = service.fails()
    assert said.endswith(RESTORED) == restored
    assert ("The former version was not restored" in said) != restored
    assert ("broken" not in service.tree()["usr/local/bin/demo"]) == restored


def test_a_program_that_does_not_run_leaves_the_service_as_it_is(service: Service) -> None:
    tree, done = service.tree(), service.done()
    service.unit, service.program = "two\n", "#!/nonexistent/interpreter\n"
    assert service.fails().endswith(RESTORED)
    assert service.tree() == tree
    assert service.done() == done


def test_a_refused_reload_leaves_the_service_with_what_it_has(service: Service) -> None:
    service.reloaded = {"reloaded.conf": "one\n"}
    service.apply()
    tree = service.tree()
    service.reloaded = {"reloaded.conf": "refused\n"}
    assert service.fails().endswith(RESTORED)
    assert service.tree() == tree
    service.reloaded = {"reloaded.conf": "one\n"}
    assert not service.differs()


def test_a_reset_takes_what_an_interrupted_run_has_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.files["demo.conf"] = "two\n"
    with monkeypatch.context() as interrupted:
        interrupted.setattr(application, "_start", interrupt)
        with pytest.raises(SystemExit):
            service.apply()
    assert [path for path in service.tree() if "kubeinstall-former" in path]
    removal.remove(Host(str(service.root)), {"name": "demo", "remove": [], "remove_links": []}, stay=[])
    assert service.tree() == {}


def test_certificates_go_back_as_pairs(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair of a new CA does not go with the files of the former one."""
    spec = service.spec
    item = {"name": "server", "certificate": "/etc/demo/server.crt", "key": "/etc/demo/server.key", "owner": "root"}
    spec["certificates"] = [item]
    for number in ("one", "two"):
        component.main(spec | {"operation": "request", "renew": ["server"]})
        key = service.root / "etc/demo/server.key"
        before = key.read_text() if key.exists() else ""
        signed = {"signed": {"server": f"certificate {number}\n" + ("broken\n" if number == "two" else "")}}
        if number == "one":
            component.main(spec | {"operation": "apply"} | signed)
            continue
        with pytest.raises(HostError, match="former configuration was restored"):
            component.main(spec | {"operation": "apply"} | signed)
        assert key.read_text() == before
        assert (service.root / "etc/demo/server.crt").read_text() == "certificate one\n"
