"""What can be installed: components, versions, and where the files of each come from. The data is catalogue.yml."""

from __future__ import annotations

import difflib
import functools
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from kubeinstall.errors import InputError

__all__ = ["Build", "Catalogue", "Component", "Release", "Version", "architectures", "machine_architecture"]

architectures = ("amd64", "arm64")

DATA = Path(__file__).with_name("catalogue.yml")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def machine_architecture(machine: str = platform.machine()) -> str:
    """The architecture's name in releases ("amd64", "arm64") for what `uname -m` says. InputError for any other."""
    try:
        return MACHINES[machine.lower()]
    except KeyError:
        raise InputError(
            f"no components for the architecture {machine!r}",
            remedy=f"known are {', '.join(sorted(MACHINES))}",
        ) from None


def checked_digest(digest: str) -> str:
    """`digest` itself, when it reads sha256:HEX or sha512:HEX. ValueError otherwise."""
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no digest (sha256:HEX or sha512:HEX, in lower case)")
    return digest


Digest = Annotated[str, AfterValidator(checked_digest)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Release(Strict):
    """Upstream's release file: one address for each version and architecture; `members` is empty for a bare program."""

    url: str
    members: dict[str, str] = Field(default_factory=dict)


class Needs(Strict):
    """What linking C takes: programs besides the compiler, C libraries, and the Debian packages of both."""

    programs: list[str] = Field(default_factory=list)
    libraries: list[str] = Field(default_factory=list)
    packages: list[str] = Field(default_factory=list)


class Build(Strict):
    """How `go build` makes the programs. `cgo` names the architectures on which C is linked in."""

    packages: dict[str, str]
    tags: list[str] = Field(default_factory=list)
    file_tags: dict[str, list[str]] = Field(default_factory=dict)
    cgo: list[str] = Field(default_factory=list)
    variables: dict[str, str] = Field(default_factory=dict)
    needs: Needs = Field(default_factory=Needs)


class Version(Strict):
    """One supported version: the folder that pins its sources, and upstream's digest for each architecture."""

    module: str | None = None
    digests: dict[str, Digest | None] = Field(default_factory=dict)


class Component(Strict):
    """What upstream releases together: one or several programs of one version. Clusters need all but `optional`."""

    default: str
    files: list[str]
    versions: dict[str, Version]
    release: Release | None = None
    build: Build | None = None
    optional: bool = False

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if self.default not in self.versions:
            raise ValueError(f"the default {self.default} is not among the versions")
        if self.release and self.release.members and set(self.release.members) != set(self.files):
            raise ValueError("release.members must name each file once")
        if self.build and set(self.build.packages) != set(self.files):
            raise ValueError("build.packages must name each file once")
        for version, entry in self.versions.items():
            if entry.module and not self.build:
                raise ValueError(f"{version} has a module, but there is no build")
            if unknown := set(entry.digests) - set(architectures):
                raise ValueError(f"{version} has digests for unknown architectures: {', '.join(sorted(unknown))}")
        return self


class Catalogue:
    """The components by name, and questions about them. Every unknown name raises InputError with the known ones."""

    def __init__(self, components: Mapping[str, Component]) -> None:
        self.components = dict(components)
        self._component_of: dict[str, str] = {}
        for name, component in self.components.items():
            for file_name in component.files:
                if (other := self._component_of.setdefault(file_name, name)) != name:
                    raise ValueError(f"the file {file_name} belongs to two components: {other} and {name}")

    @classmethod
    def load(cls, path: Path = DATA) -> Catalogue:
        """The catalogue of `path`, read once for each process. The data is ours: an error in it is a ValueError."""
        return _load(path)

    def component(self, name: str) -> Component:
        """The component of that name."""
        if name not in self.components:
            raise InputError(f"unknown component {name!r}", remedy=_known(name, self.components))
        return self.components[name]

    def component_of(self, file_name: str) -> str:
        """The component that a program belongs to: `kubelet` is one of kubernetes."""
        if file_name not in self._component_of:
            raise InputError(f"unknown file {file_name!r}", remedy=_known(file_name, self._component_of))
        return self._component_of[file_name]

    def versions(self, component: str) -> tuple[str, ...]:
        """The supported versions, newest first."""
        return tuple(self.component(component).versions)

    def default(self, component: str) -> str:
        """The version taken when the user names none."""
        return self.component(component).default

    def files(self, component: str) -> tuple[str, ...]:
        """The programs of a component."""
        return tuple(self.component(component).files)

    def version(self, component: str, version: str) -> Version:
        """What is known of one version."""
        versions = self.component(component).versions
        if version not in versions:
            raise InputError(f"unknown version {version!r} of {component}", remedy=f"known are {', '.join(versions)}")
        return versions[version]

    def expand(self, names: Iterable[str]) -> tuple[str, ...]:
        """File names for a mixture of file and component names, each once; a name that is both means the file."""
        known = {**self.components, **self._component_of}
        expanded: dict[str, None] = {}
        for name in names:
            if name not in known:
                raise InputError(f"unknown file or component {name!r}", remedy=_known(name, known))
            expanded.update(dict.fromkeys([name] if name in self._component_of else self.files(name)))
        return tuple(expanded)


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> Catalogue:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Catalogue(TypeAdapter(dict[str, Component]).validate_python(data))


def _known(name: str, names: Iterable[str]) -> str:
    names = sorted(names)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known are {', '.join(names)}"
