"""The two ways to run systemd in a container, and which of them this machine allows.

The ordinary way is `--privileged`. It fails where the machine itself lacks a capability (the engine asks the kernel for
all of them); then the restricted way asks for what is left, and lifts each of Docker's fences by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from kubeinstall.distribution import Say
from kubeinstall.errors import LabError
from kubeinstall.lab.containers import ContainerSpec
from kubeinstall.lab.daemon import cache_folder
from kubeinstall.lab.engine import Engine

__all__ = ["ORDINARY", "RESTRICTED", "WAYS", "Way", "apply_way", "find_way"]

_PROBE_LABEL = "kubeinstall.lab.probe"


@dataclass(frozen=True)
class Way:
    """A way to run a host: its name, and what the screen says of it."""

    name: str
    title: str


ORDINARY = Way("ordinary", "privileged containers")
RESTRICTED = Way("restricted", "containers without CAP_SYS_RESOURCE (this machine does not allow privileged ones)")
WAYS: Mapping[str, Way] = {way.name: way for way in (ORDINARY, RESTRICTED)}

# A machine does not change while this process runs.
_found: dict[str, Way] = {}


def apply_way(spec: ContainerSpec, way: Way) -> ContainerSpec:
    """The container with the flags of `way`, over what both ways need to run systemd and a container engine inside."""
    both = replace(
        spec,
        # systemd shuts a machine down on this signal; SIGTERM makes it reload itself instead.
        stop_signal="SIGRTMIN+3",
        # As on a machine, what is in /run ends with a reboot.
        tmpfs={"/run": "", "/run/lock": ""},
        # A container engine's overlays do not stack upon the overlay this container stands on.
        anonymous_volumes=("/var/lib/containerd", "/var/lib/docker"),
        # The machine's kernel modules, for whoever looks whether the kernel has one.
        binds=("/lib/modules:/lib/modules:ro",) if Path("/lib/modules").is_dir() else (),
        # `reboot` inside ends the first process with a code that is not 0: the engine starts it again.
        restart_on_failure=True,
    )
    if way is ORDINARY:
        # All capabilities and devices, /sys and /proc/sys writable, no seccomp and no AppArmor.
        return replace(both, privileged=True)
    return replace(
        both,
        # What --privileged would give, less the capability that this machine does not have.
        cap_add=("ALL",),
        cap_drop=("SYS_RESOURCE",),
        # Mounts, namespaces and keyrings of a container engine are outside of Docker's profiles.
        security_opt=("seccomp=unconfined", "apparmor=unconfined"),
        # /proc/sys has to be writable for sysctls, and /proc whole for nested procfs mounts.
        unmasked=True,
    )


def find_way(engine: Engine, image: str, say: Say) -> Way:
    """The first way in which the engine starts a container of `image`; remembered for the life of this process.

    Raises LabError, with what the engine said to each, where none does.
    """
    if way := _found.get(image):
        return way
    refusals = []
    for way in (ORDINARY, RESTRICTED):
        try:
            # By its name a probe is this machine's only one.
            with FileLock(cache_folder() / "probe.lock"):
                _try(engine, image, way)
        except LabError as refusal:
            refusals.append(f"{way.name} way: {refusal.what}")
            continue
        say(f"Hosts are {way.title}")
        _found[image] = way
        return way
    raise LabError(
        f"the Docker engine can run no lab host here. {' '.join(refusals)}",
        remedy="run on a machine or virtual machine with full capabilities, or list real hosts in an inventory",
    )


def _try(engine: Engine, image: str, way: Way) -> None:
    name = f"kubeinstall-probe-{way.name}"
    engine.remove(name)
    spec = ContainerSpec(name, image, "bridge", "", {_PROBE_LABEL: way.name}, entrypoint=("/bin/true",))
    engine.create(apply_way(spec, way))
    try:
        engine.start(name)
    finally:
        engine.remove(name)
