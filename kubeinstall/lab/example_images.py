"""The example's images where no registry answers: nginx and redis from Debian's packages, FerretDB for MongoDB.

They have names of their own (`kubeinstall.local/…`), since they are not what upstream publishes; their labels say what
is in them.
"""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from filelock import FileLock

from kubeinstall import components
from kubeinstall.distribution import Say
from kubeinstall.images import ImageConfig, archived_id, image_cache, scratch_archive, wrap
from kubeinstall.lab.debian import root_tree
from kubeinstall.lab.engine import connect

__all__ = ["BUSYBOX", "MONGO", "NGINX", "REDIS", "example_images"]

NGINX = "kubeinstall.local/nginx:1"
REDIS = "kubeinstall.local/redis:1"
MONGO = "kubeinstall.local/mongo:1"
BUSYBOX = "kubeinstall.local/busybox:1"

_DESCRIPTION = "org.opencontainers.image.description"
_VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True)
class _Packaged:
    """An image out of Debian's packages: what gives its version, what is picked of the tree, how it runs."""

    reference: str
    package: str
    description: str
    paths: Sequence[str]
    command: Sequence[str]
    ports: Sequence[str] = ()
    stop_signal: str = ""
    working_dir: str = "/"
    packages: Sequence[str] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        return self.reference.rsplit("/", 1)[-1].split(":")[0]


_PACKAGED = (
    _Packaged(
        NGINX,
        "nginx",
        "Debian's nginx with its stream module and busybox; a stand-in for upstream's image",
        # The stream module is loaded by what a configuration includes of modules-enabled; upstream's is built in.
        [
            "/usr/sbin/nginx",
            "/usr/lib/nginx/modules/ngx_stream_module.so",
            "/usr/share/nginx",
            "/etc/nginx",
            "/var/www",
        ],
        ["nginx", "-g", "daemon off;"],
        ports=["80/tcp"],
        # What nginx takes for "finish the requests, then end".
        stop_signal="SIGQUIT",
        packages=["nginx", "libnginx-mod-stream"],
    ),
    _Packaged(
        REDIS,
        "redis-server",
        "Debian's redis and busybox; a stand-in for upstream's image",
        ["/usr/bin/redis-server", "/usr/bin/redis-cli"],
        ["redis-server", "--protected-mode", "no"],
        ports=["6379/tcp"],
        working_dir="/data",
        packages=["redis-server", "redis-tools"],
    ),
    _Packaged(
        BUSYBOX,
        "busybox-static",
        "Debian's busybox; a stand-in for upstream's image",
        ["/usr/bin/busybox"],
        ["sh"],
        packages=["busybox-static"],
    ),
)


def example_images(
    say: Say, progress: components.Progress | None = None, architecture: str | None = None
) -> Mapping[str, Path]:
    """The archives of the example's images, by reference; made at the first call, and found in the cache after it.

    `progress` hears of FerretDB, which may have to be built. Where a Docker engine answers, images of this machine's
    own architecture are loaded into it too, so that `kubeinstall image load` finds them there.
    """
    own = components.machine_architecture()
    architecture = architecture or own
    with FileLock(image_cache() / "example-images.lock"):
        archives = {**_packaged(architecture, say), MONGO: _mongo(architecture, progress)}
        engine = connect() if architecture == own else None
        for reference, archive in archives.items():
            if engine and engine.image_id(reference) != archived_id(archive):
                engine.load(archive)
    return archives


def _packaged(architecture: str, say: Say) -> dict[str, Path]:
    pick = (resources.files("kubeinstall.lab") / "examples" / "pick").read_text()
    recipe = hashlib.sha256(f"{architecture}\0{pick}\0{_PACKAGED!r}".encode()).hexdigest()[:12]
    archives = {image.reference: image_cache() / f"example-{image.name}-{recipe}.tar" for image in _PACKAGED}
    if all(archive.exists() for archive in archives.values()):
        return archives
    say("Making the example's images from Debian's packages (about a minute, once)")
    with tempfile.TemporaryDirectory(prefix=".example-", dir=image_cache()) as folder:
        work = Path(folder)
        script = work / "pick"
        script.write_text(pick)
        hooks = []
        for image in _PACKAGED:
            layer = shlex.quote(str(work / f"{image.name}.tar"))
            version = shlex.quote(str(work / f"{image.name}.version"))
            hooks += [
                f'sh {shlex.quote(str(script))} "$1" {layer} {shlex.join(image.paths)}',
                f"chroot \"$1\" dpkg-query -W -f '${{Version}}' {image.package} >{version}",
            ]
        packages = sorted({package for image in _PACKAGED for package in image.packages})
        root_tree(packages, None, say, architecture=architecture, hooks=hooks)
        for image in _PACKAGED:
            config = ImageConfig(
                architecture,
                command=image.command,
                working_dir=image.working_dir,
                stop_signal=image.stop_signal,
                exposed_ports=image.ports,
                labels={
                    _DESCRIPTION: image.description,
                    _VERSION: (work / f"{image.name}.version").read_text().strip(),
                },
            )
            wrap(image.reference, work / f"{image.name}.tar", config, target=archives[image.reference])
    return archives


def _mongo(architecture: str, progress: components.Progress | None) -> Path:
    (binary,) = components.fetch(["ferretdb"], versions={}, architecture=architecture, progress=progress)
    return scratch_archive(
        MONGO,
        {"/usr/bin/ferretdb": binary.path},
        entrypoint=["/usr/bin/ferretdb"],
        architecture=architecture,
        # Nobody's account: it needs nothing but its data folder, which a mounted emptyDir is open for, too.
        user="65532:65532",
        folders={"/data/db": 0o1777},
        labels={
            _DESCRIPTION: "FerretDB, which speaks MongoDB's protocol and keeps its data in SQLite; not MongoDB",
            _VERSION: binary.version,
        },
    )
