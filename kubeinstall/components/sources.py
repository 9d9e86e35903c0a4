"""Where a component comes from: the cache, else the first source that has it. `fetch` is what the project calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from kubeinstall.components.build import build, modules_folder
from kubeinstall.components.catalogue import Catalogue, checked_digest
from kubeinstall.components.progress import Progress, Silent
from kubeinstall.components.store import File, Store
from kubeinstall.errors import ComponentError, InputError, UnavailableError

__all__ = ["BUILD", "MIRROR", "RELEASE", "Request", "Source", "fetch", "in_order"]

# The variable of the environment that names a mirror.
MIRROR = "KUBEINSTALL_MIRROR"


@dataclass(frozen=True)
class Request:
    """What a source is asked for: files of one component, all of one version and architecture."""

    component: str
    version: str
    architecture: str
    files: tuple[str, ...]
    digest: str | None
    catalogue: Catalogue

    def __str__(self) -> str:
        return f"{self.component} {self.version} ({self.architecture})"


@dataclass(frozen=True)
class Source:
    """One way to get files: `get` makes them in the empty folder it is given, returns them by name (those asked for,
    maybe more) and says where they came from. What shall outlive a killed run it keeps beside that folder.

    `lacks` says without any I/O why it cannot have them (None: it may), `get` raises UnavailableError when it turns out
    not to: then the next source is asked. Any other error ends the run.
    """

    title: str
    lacks: Callable[[Request], str | None]
    get: Callable[[Request, Path, Progress], tuple[dict[str, Path], str]]


def fetch(
    names: Sequence[str],
    *,
    versions: Mapping[str, str],
    architecture: str,
    store: Store | None = None,
    progress: Progress | None = None,
    digests: Mapping[str, str] | None = None,
    sources: Sequence[Source] | None = None,
    again: bool = False,
) -> list[File]:
    """Makes sure that files are in the cache and are what they were pinned as; returns them in the order of `names`.

    `names` are files ("kubelet") or components ("kubernetes": all its files); a name that is both means the file.
    `versions` maps components to versions, the catalogue's default holds for the rest. `digests` maps components to a
    digest of upstream's release file ("sha256:HEX") that the user pins where the catalogue names none. `again` gets the
    files even if the cache has them.

    InputError for anything unknown, before anything is done; ComponentError when no source has a file, when a digest is
    wrong, or when a build fails. Several processes may call this at once: what one gets the others wait for.
    """
    store, progress = store or Store(), progress or Silent()
    catalogue = store.catalogue
    for component, version in versions.items():
        catalogue.version(component, version)
    digests = digests or {}
    for component, pinned in digests.items():
        catalogue.component(component)
        try:
            checked_digest(pinned)
        except ValueError as error:
            raise InputError(str(error), where=component) from None
        version = versions.get(component, catalogue.default(component))
        published = catalogue.version(component, version).digests.get(architecture) or pinned
        if pinned != published:
            raise InputError(
                f"the digest of {component} {version} ({architecture}) is {published}, not {pinned}",
                where="the catalogue of components",
                remedy="leave it out: a digest is pinned only where the catalogue names none",
            )
    wanted: dict[str, list[str]] = {}
    order = catalogue.expand(names)
    for name in order:
        wanted.setdefault(catalogue.component_of(name), []).append(name)
    for component in wanted:
        store.directory(component, versions.get(component, catalogue.default(component)), architecture)

    found: dict[str, File] = {}
    store.clear_leftovers()
    try:
        for component, files in wanted.items():
            version = versions.get(component, catalogue.default(component))
            here: dict[str, File] = {}
            if not again:
                # Without the lock and without a word: the usual case is that all is there.
                here = {file.name: file for name in files if (file := store.verified(name, version, architecture))}
            if len(here) < len(files):
                request = Request(component, version, architecture, tuple(files), digests.get(component), catalogue)
                here = _get(request, store, progress, sources or in_order(), again=again)
            found |= here
    except OSError as error:
        raise ComponentError(
            f"the cache cannot be used: {error.strerror or error}",
            where=str(store.root),
            remedy="make room there and make it writable, or point XDG_CACHE_HOME at another place",
        ) from error
    return [found[name] for name in order]


def _get(
    request: Request, store: Store, progress: Progress, sources: Sequence[Source], *, again: bool
) -> dict[str, File]:
    """The files of one component, under its lock: from the cache those that are there by now, else from a source."""
    key = (request.component, request.version, request.architecture)
    here: dict[str, File] = {}
    with store.lock(*key, progress) as directory, store.workspace(directory) as folder:
        for name in request.files if not again else ():
            # Another process may have got it while this one waited.
            if file := store.verified(name, request.version, request.architecture, progress):
                here[name] = file
        if missing := tuple(name for name in request.files if name not in here):
            here |= _provide(replace(request, files=missing), folder, store, progress, sources)
    return here


def _provide(
    request: Request, folder: Path, store: Store, progress: Progress, sources: Sequence[Source]
) -> dict[str, File]:
    """Asks one source after the other, and takes what the first one gives into the cache."""
    reasons: list[str] = []
    for source in sources:
        if reason := source.lacks(request):
            reasons.append(reason)
            continue
        if reasons:
            progress.said(f"{request}: {'; '.join(reasons)}. Falling back to {source.title}")
        try:
            made, origin = source.get(request, folder, progress)
        except UnavailableError as error:
            reasons.append(str(error))
        except ComponentError as error:
            if not reasons:
                raise
            # The user may rather mend the source that was meant to have it.
            what = f"{error.what} (tried because {'; '.join(reasons)})"
            raise ComponentError(what, where=error.where, remedy=error.remedy) from error
        else:
            return _store(request, store, progress, made, origin)
    raise ComponentError(f"no source has {request}: {'; '.join(reasons)}", remedy=_other_ways(request))


def _store(
    request: Request, store: Store, progress: Progress, made: Mapping[str, Path], origin: str
) -> dict[str, File]:
    files: dict[str, File] = {}
    for name, path in made.items():
        key = (name, request.version, request.architecture)
        # An archive holds the whole component: what was not asked for is kept unless the cache has its own already.
        if name not in request.files and store.locate(*key):
            continue
        before = store.pinned(*key)
        release = _digest(request) if origin.startswith("release ") else None
        files[name] = store.add(*key, path, origin, release)
        if before and before != files[name].sha256:
            progress.said(
                f"{name} {request.version} is now {files[name].sha256[:12]} and was {before[:12]} before (another "
                "source or toolchain): clusters whose hosts run the former refuse this one"
            )
    return files


def _release_lacks(request: Request) -> str | None:
    if request.catalogue.component(request.component).release is None:
        return "upstream has no release of it"
    if _digest(request) is None:
        return f"no digest of upstream's file is known ({_url(request)}), and without one it is not taken"
    return None


def _from_release(request: Request, folder: Path, progress: Progress, mirror: str = "") -> tuple[dict[str, Path], str]:
    release, digest, url = request.catalogue.component(request.component).release, _digest(request), _url(request)
    if release is None or digest is None:
        raise UnavailableError(str(_release_lacks(request)))
    if mirror:
        url = f"{mirror.rstrip('/')}/{url.partition('://')[2]}"
    part = folder.parent / f".download-{url.rsplit('/', 1)[-1]}"
    # Here, since most runs find all in the cache: an HTTP client takes a tenth of a second to import.
    from kubeinstall.components.download import download, extract

    download(url, digest, part, progress)
    if release.members:
        members = {name: _filled(path, request) for name, path in release.members.items()}
        made = extract(part, members, folder)
        part.unlink()
    else:
        (name,) = request.catalogue.files(request.component)
        made = {name: part.rename(folder / name)}
    return made, f"release {url}"


def _digest(request: Request) -> str | None:
    """The digest that upstream publishes, or that the user pinned where there is none."""
    published = request.catalogue.version(request.component, request.version).digests
    return request.digest or published.get(request.architecture)


def _url(request: Request) -> str:
    release = request.catalogue.component(request.component).release
    return _filled(release.url, request) if release else ""


def _filled(template: str, request: Request) -> str:
    return template.format(version=request.version, architecture=request.architecture)


def _build_lacks(request: Request) -> str | None:
    has = request.catalogue.version(request.component, request.version).module
    return None if has else f"{request.component} {request.version} is not to be had as a Go module"


def _from_build(request: Request, folder: Path, progress: Progress) -> tuple[dict[str, Path], str]:
    component = request.catalogue.component(request.component)
    module = request.catalogue.version(request.component, request.version).module
    if component.build is None or module is None:
        raise UnavailableError(str(_build_lacks(request)))
    made, toolchain = build(
        request.component,
        component.build,
        modules_folder() / module,
        files=request.files,
        version=request.version,
        architecture=request.architecture,
        folder=folder,
        progress=progress,
    )
    return made, f"built from the module {module} with Go {toolchain.version}"


def _other_ways(request: Request) -> str:
    name = request.component
    ways = ["make upstream reachable", f"name a mirror that has it (--mirror, {MIRROR})"]
    if _digest(request) is None:
        ways.append(f"pin the digest of its file (kubeinstall components fetch {name} --digest {name}=sha256:HEX)")
    return f"{', '.join(ways)}, or copy the cache of a machine that has it"


RELEASE = Source("upstream's release", _release_lacks, _from_release)
BUILD = Source("a build from source", _build_lacks, _from_build)


def in_order(mirror: str | None = None) -> tuple[Source, ...]:
    """The sources that are asked one after the other when the cache lacks a file.

    `mirror`, by default what KUBEINSTALL_MIRROR says, is the URL of a folder with upstream's release files at their own
    addresses: URL/github.com/…. InputError where it is no URL.
    """
    mirror = os.environ.get(MIRROR, "") if mirror is None else mirror
    if not mirror:
        return (RELEASE, BUILD)
    if urlsplit(mirror).scheme not in ("http", "https"):
        raise InputError(f"the mirror {mirror!r} is no URL", remedy="begin it with https:// or http://")
    # Beside the one of upstream, a part of which it may not go on from.
    return (Source(f"the mirror {mirror}", _release_lacks, partial(_from_release, mirror=mirror)), RELEASE, BUILD)
