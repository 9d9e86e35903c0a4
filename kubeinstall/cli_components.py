"""`kubeinstall components`: what there is, and getting it into the cache ahead of a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from kubeinstall.components import (
    BUILD,
    MIRROR,
    Catalogue,
    File,
    Progress,
    Source,
    Store,
    architectures,
    fetch,
    in_order,
    machine_architecture,
)
from kubeinstall.errors import InputError

__all__ = ["app", "progress_on"]

# Plain lines come this often at most, in seconds: a log shall show that something moves, not each package.
PLAIN_INTERVAL = 10.0

COLUMNS = ("component", "version", "default", "architecture", "cached", "sources")

app = typer.Typer(
    help="The programs a cluster is made of: list them, and get them into the cache ahead of a run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Components or single files; none means all that a plain cluster needs."),
]
Architecture = Annotated[
    str | None,
    typer.Option(metavar="ARCHITECTURE", help=f"{' or '.join(architectures)}; this machine's own if not given."),
]
Versions = Annotated[
    list[str] | None,
    typer.Option("--version", metavar="COMPONENT=VERSION", help="Another version than the default; may be repeated."),
]
Digests = Annotated[
    list[str] | None,
    typer.Option(
        "--digest",
        metavar="COMPONENT=sha256:HEX",
        help="Pin the digest of upstream's release file, where none is known; may be repeated.",
    ),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar=MIRROR,
        help="Asked before upstream: a folder with upstream's files at their own addresses, URL/github.com/…",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Build also what the cache already has.")]


@app.command("list", epilog="Example: kubeinstall components list --architecture arm64")
def list_components(
    architecture: Architecture = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Show every component and version, and whether the cache has it."""
    store = Store()
    rows = list(_rows(store, architecture or machine_architecture()))
    if as_json:
        listed = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        typer.echo(json.dumps({"cache": str(store.root), "components": listed}, indent=2))
        return
    # Plain columns: nothing is cut, in a pipe or in a narrow terminal.
    heading = tuple(name.replace("_", " ") for name in COLUMNS)
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    for row in (heading, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(f"The cache is {store.root}", err=True)


@app.command("fetch", epilog="Example: kubeinstall components fetch kubernetes --version kubernetes=1.36.3")
def fetch_components(
    names: Names = None,
    architecture: Architecture = None,
    version: Versions = None,
    digest: Digests = None,
    mirror: Mirror = None,
) -> None:
    """Get components into the cache: upstream's release, or where it is not to be had, a build from source.

    A mirror's files are held to the same digests as upstream's own.
    """
    sources = in_order(mirror)
    _get(names, architecture, _pairs("--version", version), digests=_pairs("--digest", digest), sources=sources)


@app.command("build", epilog="Example: kubeinstall components build etcd runc")
def build_components(
    names: Names = None, architecture: Architecture = None, version: Versions = None, again: Again = False
) -> None:
    """Build components from source into the cache, whether or not upstream's release is to be had.

    It takes a Go toolchain: on the PATH, or from pip install "kubeinstall[build]".
    """
    _get(names, architecture, _pairs("--version", version), digests={}, sources=(BUILD,), again=again)


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """A Progress that shows itself on `console`: bars on a terminal, plain lines otherwise."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    columns = (
        SpinnerColumn(finished_text="[green]done"),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield BarProgress(bars)


class PlainProgress:
    """Progress as lines for a log: each sentence, and now and then how far a step has come."""

    def __init__(self, console: Console, interval: float = PLAIN_INTERVAL) -> None:
        self._console, self._interval, self._last = console, interval, 0.0

    def said(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def step(self, label: str, done: int, total: int | None, unit: str) -> None:
        now = time.monotonic()
        if done == total or now - self._last >= self._interval:
            self._last = now
            self.said(f"{label}: {amount(done, total, unit)}")


class BarProgress:
    """Progress as one bar for each label, with the sentences above the bars."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def said(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def step(self, label: str, done: int, total: int | None, unit: str) -> None:
        text = amount(done, total, unit)
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(escape(label), total=total, amount=text)
        self._bars.update(self._tasks[label], completed=done, total=total, amount=text)


def amount(done: int, total: int | None, unit: str) -> str:
    """How far a step is, in words: "12.0 of 350.1 MB", "410 of 1240 packages"."""
    if unit == "bytes":
        of = f" of {total / 1e6:.1f}" if total is not None else ""
        return f"{done / 1e6:.1f}{of} MB"
    return f"{done} of {total} {unit}" if total is not None else f"{done} {unit}"


def _get(
    names: list[str] | None,
    architecture: str | None,
    versions: dict[str, str],
    *,
    digests: dict[str, str],
    sources: tuple[Source, ...],
    again: bool = False,
) -> None:
    catalogue, console = Catalogue.load(), Console()
    with progress_on(console) as progress:
        files = fetch(
            _file_names(catalogue, names),
            versions=versions,
            architecture=architecture or machine_architecture(),
            progress=progress,
            digests=digests,
            sources=sources,
            again=again,
        )
    for file in files:
        console.print(_line(file), soft_wrap=True, markup=False, highlight=False)


def _file_names(catalogue: Catalogue, names: list[str] | None) -> list[str]:
    """The files meant on the command line, where `etcd` and `flannel` mean the components before the files."""
    if not names:
        names = [name for name, component in catalogue.components.items() if not component.optional]
    return [file for name in names for file in (catalogue.files(name) if name in catalogue.components else [name])]


def _rows(store: Store, architecture: str) -> Iterator[tuple[str, str, str, str, str, str]]:
    for name, component in store.catalogue.components.items():
        for version, entry in component.versions.items():
            files = [store.locate(file, version, architecture) for file in component.files]
            sources = []
            if component.release:
                sources.append("release" if entry.digests.get(architecture) else "release (digest to be pinned)")
            if entry.module:
                sources.append("build")
            default = "default" if version == component.default else ""
            yield name, version, default, architecture, _cached(files), ", ".join(sources)


def _cached(files: list[File | None]) -> str:
    present = [file for file in files if file]
    if not present:
        return "no"
    # The first word tells a release from a build; the whole sentence is in the record.
    origins = " and ".join(sorted({file.source.split()[0] for file in present}))
    return f"yes ({origins})" if len(present) == len(files) else f"{len(present)} of {len(files)} files ({origins})"


def _line(file: File) -> str:
    return f"{file.name} {file.version} {file.architecture}: {file.path} ({file.size / 1e6:.1f} MB, {file.source})"


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or []:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise InputError(f"{option} wants COMPONENT=VALUE, not {text!r}", where=option)
        pairs[name] = value
    return pairs
