"""The image a lab host is made of: Debian 12 with systemd, sshd, Python and what Kubernetes' components call.

Two ways lead to it, with the same packages and the same set-up: a Dockerfile where a registry answers, otherwise a tree
made from Debian's packages. The result is tagged by the digest of its recipe and kept as an archive beside the engine,
so an engine that was wiped gets it back in seconds.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from importlib import resources
from pathlib import Path

from filelock import FileLock

from kubeinstall.components import machine_architecture
from kubeinstall.distribution import Say
from kubeinstall.errors import LabError
from kubeinstall.images import ImageConfig, atomic, wrap
from kubeinstall.lab.daemon import cache_folder
from kubeinstall.lab.debian import root_tree
from kubeinstall.lab.engine import Engine

__all__ = ["ensure", "reference"]

_RECIPE = ("Dockerfile", "lab-init", "packages", "setup")


def _recipe() -> dict[str, str]:
    folder = resources.files("kubeinstall.lab") / "host"
    return {name: (folder / name).read_text() for name in _RECIPE}


def reference() -> str:
    """The image's name, with the digest of its recipe for a tag."""
    recipe = _recipe()
    digest = hashlib.sha256("\0".join(f"{name}\0{recipe[name]}" for name in _RECIPE).encode()).hexdigest()
    return f"kubeinstall.local/lab-host:{digest[:12]}"


def ensure(engine: Engine, say: Say) -> str:
    """The reference of a host image the engine has: found, loaded from the archive, or made.

    Two runs at once make it once: the second waits for the first.
    """
    name = reference()
    archive = cache_folder() / f"host-{name.rsplit(':', 1)[-1]}.tar"
    with FileLock(f"{archive}.lock"):
        if engine.image_id(name):
            return name
        begun = time.monotonic()
        if archive.exists():
            say(f"Loading the host image from {archive}")
            engine.load(archive)
        elif engine.registry_answers("debian:12-slim"):
            say("Building the host image from the registry's debian:12-slim (some minutes, once)")
            _build(engine, name, say)
            with atomic(archive) as out:
                engine.save(name, out)
        else:
            say("No registry answers: making the host image from Debian's packages (about a minute, once)")
            _assemble(name, archive, say)
            engine.load(archive)
        if not engine.image_id(name):
            raise LabError(f"the Docker engine took the host image, and does not know it as {name}")
        say(f"The host image {name} is there after {time.monotonic() - begun:.0f} s")
    return name


def _write_recipe(folder: Path) -> None:
    for name, text in _recipe().items():
        (folder / name).write_text(text)


def _build(engine: Engine, name: str, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="kubeinstall-host-") as folder:
        _write_recipe(Path(folder))
        for line in engine.build(Path(folder), name):
            if line.startswith("Step "):
                say(f"  {line}")


def _assemble(name: str, archive: Path, say: Say) -> None:
    # Beside the archive: a tree is half a gigabyte, and /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix="host-", dir=cache_folder()) as folder:
        work = Path(folder)
        _write_recipe(work)
        work.chmod(0o755)
        hooks = [
            'mkdir -p "$1/opt/lab"',
            f'cp {work}/packages {work}/setup {work}/lab-init "$1/opt/lab/"',
            'chroot "$1" sh /opt/lab/setup',
            'rm -rf "$1/opt/lab"',
        ]
        architecture = machine_architecture()
        root_tree(_recipe()["packages"].split(), work / "tree.tar", say, architecture=architecture, hooks=hooks)
        config = ImageConfig(
            architecture,
            entrypoint=["/usr/local/sbin/lab-init"],
            environment=["container=docker"],
            stop_signal="SIGRTMIN+3",
        )
        wrap(name, work / "tree.tar", config, target=archive)
