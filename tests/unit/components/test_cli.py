"""`kubeinstall components`, as a log sees it and as a terminal does."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from kubeinstall.cli_components import PlainProgress, amount, app, progress_on
from kubeinstall.components import machine_architecture
from kubeinstall.components.build import Toolchain
from kubeinstall.errors import ComponentError, InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Go's own cache lies under XDG_CACHE_HOME too: keep the one that has the standard library compiled.
    if go := shutil.which("go"):
        monkeypatch.setenv("GOCACHE", subprocess.check_output([go, "env", "GOCACHE"], text=True).strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kubeinstall/components"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception:
        raise result.exception
    return result.output


def listed() -> list[str]:
    """The lines of the list, without the width of its columns."""
    return [" ".join(line.split()) for line in run("list").splitlines()]


def test_build_then_list(own_cache: Path, toolchain: Toolchain) -> None:
    own = machine_architecture()
    assert f"pause 1.0.0 default {own} no build" in listed()
    output = run("build", "pause")
    assert "pause 1.0.0: " in output
    assert f"pause 1.0.0 {own}: {own_cache}/pause/1.0.0/{own}/pause (" in output
    assert listed()[0] == "component version default architecture cached sources"
    assert f"pause 1.0.0 default {own} yes (built) build" in listed()
    assert f"kubernetes 1.36.3 {own} no release, build" in listed()
    assert f"flannel 0.28.10 default {own} no release (digest to be pinned), build" in listed()
    found = json.loads(run("list", "--json"))
    assert found["cache"] == str(own_cache)
    (pause,) = [one for one in found["components"] if one["component"] == "pause"]
    assert pause == {
        **{"component": "pause", "version": "1.0.0", "default": "default"},
        **{"architecture": own, "cached": "yes (built)", "sources": "build"},
    }
    assert run("fetch", "pause").count("\n") == 1, "what is there is only named"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "nothing"], "unknown file or component 'nothing'"),
        (["fetch", "pause", "--version", "pause=9"], r"unknown version '9' of pause \(known are 1\.0\.0\)"),
        (["fetch", "pause", "--version", "1.0.0"], "--version wants COMPONENT=VALUE, not '1.0.0'"),
        (["fetch", "coredns", "--digest", "coredns=md5:1"], "is no digest"),
        (["build", "pause", "--architecture", "vax"], "unknown architecture 'vax'"),
        (["list", "--architecture", "vax"], "unknown architecture 'vax'"),
    ],
)
def test_wrong_input(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(*arguments)


def test_what_cannot_be_built_says_so() -> None:
    with pytest.raises(ComponentError, match=r"cri-dockerd 0\.3\.26 is not to be had as a Go module"):
        run("build", "cri-dockerd")


@pytest.mark.parametrize("command", ["list", "fetch", "build"])
def test_help_has_an_example(command: str) -> None:
    assert f"kubeinstall components {command}" in run(command, "--help")


def test_amounts() -> None:
    assert amount(12_000_000, 350_100_000, "bytes") == "12.0 of 350.1 MB"
    assert amount(12_000_000, None, "bytes") == "12.0 MB"
    assert amount(3, 40, "packages") == "3 of 40 packages"
    assert amount(3, None, "modules") == "3 modules"


def test_plain_lines_are_few() -> None:
    console = Console(file=io.StringIO())
    progress = PlainProgress(console, interval=3600)
    progress.said("a [sentence]")
    for done in range(1001):
        progress.step("etcd", done, 1000, "packages")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-1] == "etcd: 1000 of 1000 packages"
    assert len(console.file.getvalue().splitlines()) <= 3


def test_bars_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_on(console) as progress:
        progress.said("falling back [to a build]")
        progress.step("etcd 3.6.14", 1, 10, "packages")
        progress.step("etcd 3.6.14", 10, 10, "packages")
    assert isinstance(console.file, io.StringIO)
    assert "falling back [to a build]" in console.file.getvalue()
    assert "10 of 10 packages" in console.file.getvalue()
