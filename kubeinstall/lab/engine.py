"""The local Docker engine, as far as the lab uses it: the only module that knows the Docker SDK.

`connect` answers the question "does an engine answer here?"; `kubeinstall.lab.daemon` installs and starts one.
"""

from __future__ import annotations

import io
import os
import socket
import tarfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
import docker.types
import requests

from kubeinstall.errors import LabError
from kubeinstall.lab.containers import Container, ContainerSpec, Network

__all__ = ["Engine", "EngineDeniedError", "connect"]

# Saving or loading an image of a gigabyte on a busy disk takes a while; everything else answers in seconds.
_TIMEOUT = 600


class EngineDeniedError(LabError):
    """An engine is there, and does not let this user in."""


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises into one LabError that says what was being done."""
    try:
        yield
    except docker.errors.APIError as error:
        raise LabError(f"the Docker engine refused to {doing}: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise LabError(
            f"the Docker engine did not {doing}: {error}", remedy="is it still running? `docker info` tells"
        ) from error


def connect() -> Engine | None:
    """The engine that answers at DOCKER_HOST, or at the usual socket; None where none does.

    Raises EngineDeniedError where a socket is there and this user may not use it.
    """
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        if address.startswith("unix://"):
            # Asked plainly first: the SDK tells "nobody there" and "not allowed" apart only in the text of its error.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.removeprefix("unix://"))
        with ExitStack() as unless_it_answers:
            client = docker.DockerClient.from_env(timeout=_TIMEOUT)
            unless_it_answers.callback(client.close)
            client.ping()
            unless_it_answers.pop_all()
    except PermissionError as error:
        raise EngineDeniedError(
            "the Docker engine does not let this user in",
            remedy='`sudo usermod -aG docker "$USER"`, log in again, and repeat',
        ) from error
    except (docker.errors.DockerException, requests.RequestException, OSError):
        return None
    return Engine(client)


class Engine:
    """A Docker engine that answers. Every method raises LabError where the engine refuses."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._api: Any = client.api
        # Whoever asks for an engine need not think of its connections.
        weakref.finalize(self, client.close)

    # -- the engine itself

    def info(self) -> Mapping[str, Any]:
        """What `docker info` tells: CgroupVersion, SecurityOptions, MemTotal (bytes), OperatingSystem and more."""
        with _explained("describe itself"):
            return dict(self._api.info())

    def local(self) -> bool:
        """Whether this machine reaches containers by address: no engine elsewhere, rootless, or in a desktop's VM."""
        info = self.info()
        remote = not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")
        rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
        return not (remote or rootless or info.get("OperatingSystem") == "Docker Desktop")

    def registry_answers(self, reference: str, seconds: int = 6) -> bool:
        """Whether the engine can pull `reference`; it is the one that has proxies and mirrors, so it is asked."""
        quick = docker.DockerClient.from_env(timeout=seconds)
        try:
            quick.images.get_registry_data(reference)
        except (docker.errors.DockerException, requests.RequestException):
            return False
        finally:
            quick.close()
        return True

    # -- images

    def image_id(self, reference: str) -> str | None:
        """The id (`sha256:…`) of a local image, or None."""
        with _explained(f"look for the image {reference}"):
            try:
                return str(self._api.inspect_image(reference)["Id"])
            except docker.errors.ImageNotFound:
                return None

    def build(self, folder: Path, tag: str) -> Iterator[str]:
        """Build the Dockerfile in `folder` as `tag`, yielding what the build prints, line by line."""
        with _explained(f"build {tag}"):
            for event in self._api.build(path=str(folder), tag=tag, rm=True, forcerm=True, decode=True):
                if "error" in event:
                    raise LabError(f"the image {tag} could not be built: {event['error'].strip()}")
                if line := str(event.get("stream", "")).strip():
                    yield line

    def save(self, reference: str, out: IO[bytes]) -> None:
        """Write the image, under the name `reference`, in the format of `docker save`."""
        with _explained(f"save the image {reference}"):
            for chunk in self._api.get_image(reference):
                out.write(chunk)

    def load(self, archive: Path) -> None:
        """Load an archive in the format of `docker save`."""
        with _explained(f"load {archive}"), archive.open("rb") as stream:
            for event in self._api.load_image(stream):
                if "error" in event:
                    raise LabError(f"the image archive {archive} could not be loaded: {event['error'].strip()}")

    def remove_image(self, reference: str) -> None:
        """Remove an image's name, and the image with its last one; one that is gone already is fine."""
        with _explained(f"remove the image {reference}"):
            try:
                self._api.remove_image(reference)
            except docker.errors.ImageNotFound:
                return

    # -- networks

    def networks(self) -> list[Network]:
        """Every network the engine has."""
        with _explained("list its networks"):
            found = self._api.networks()
        return [
            Network(
                name=str(net["Name"]),
                subnets=tuple(
                    str(pool["Subnet"]) for pool in net["IPAM"].get("Config") or () if "." in pool.get("Subnet", "")
                ),
                labels=net.get("Labels") or {},
            )
            for net in found
        ]

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str], mtu: int) -> None:
        """A bridge network with an IPv4 subnet of its own; `mtu` in bytes."""
        pool = docker.types.IPAMPool(subnet=subnet, gateway=gateway)
        with _explained(f"create the network {name} ({subnet})"):
            self._client.networks.create(
                name,
                driver="bridge",
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels=dict(labels),
                options={"com.docker.network.driver.mtu": str(mtu)},
            )

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is gone already is fine."""
        with _explained(f"remove the network {name}"):
            try:
                self._api.remove_network(name)
            except docker.errors.NotFound:
                return

    # -- containers

    def containers(self, label: str) -> list[Container]:
        """Every container, running or not, with the label `key` or `key=value`, by name."""
        found: list[Container] = []
        with _explained("list its containers"):
            for listed in self._api.containers(all=True, filters={"label": label}):
                # Another process may have removed it since.
                with suppress(docker.errors.NotFound):
                    found.append(self._container(str(listed["Id"])))
        return sorted(found, key=lambda container: container.name)

    def _container(self, name: str) -> Container:
        details = self._api.inspect_container(name)
        attached = list((details["NetworkSettings"].get("Networks") or {}).values())
        planned = ((attached[0].get("IPAMConfig") or {}) if attached else {}).get("IPv4Address")
        return Container(
            name=str(details["Name"]).removeprefix("/"),
            state=str(details["State"]["Status"]),
            address=str(planned or (attached[0].get("IPAddress") if attached else "") or ""),
            image=str(details["Config"]["Image"]),
            labels=details["Config"].get("Labels") or {},
        )

    def create(self, spec: ContainerSpec) -> None:
        """Create a container without starting it."""
        mounts = [
            docker.types.Mount(target=path, source="", type="volume", labels=dict(spec.labels))
            for path in spec.anonymous_volumes
        ]
        host_config = self._api.create_host_config(
            privileged=spec.privileged,
            cap_add=list(spec.cap_add) or None,
            cap_drop=list(spec.cap_drop) or None,
            security_opt=list(spec.security_opt) or None,
            # A host sees its own control groups for the machine's, on version 1 as on version 2.
            cgroupns="private",
            tmpfs=dict(spec.tmpfs) or None,
            mounts=mounts or None,
            binds=list(spec.binds) or None,
            network_mode=spec.network,
            restart_policy={"Name": "on-failure"} if spec.restart_on_failure else None,
        )
        if spec.unmasked:
            # What the docker command makes of `--security-opt systempaths=unconfined`; the SDK has no word for it.
            host_config["MaskedPaths"] = []
            host_config["ReadonlyPaths"] = []
        endpoint = self._api.create_endpoint_config(ipv4_address=spec.address or None)
        with _explained(f"create the container {spec.name}"):
            self._api.create_container(
                spec.image,
                entrypoint=list(spec.entrypoint) or None,
                name=spec.name,
                hostname=spec.name,
                labels=dict(spec.labels),
                host_config=host_config,
                networking_config=self._api.create_networking_config({spec.network: endpoint}),
                stop_signal=spec.stop_signal,
            )

    def start(self, name: str) -> None:
        """Start a container; one that runs already is fine."""
        with _explained(f"start the container {name}"):
            self._api.start(name)

    def stop(self, name: str, seconds: int = 30) -> None:
        """Ask a container to stop, and kill it after `seconds`."""
        with _explained(f"stop the container {name}"):
            self._api.stop(name, timeout=seconds)

    def kill(self, name: str) -> None:
        """End a container's processes at once, without a restart; one that does not run is fine."""
        with _explained(f"kill the container {name}"):
            if self._container(name).state == "running":
                self._api.kill(name)

    def remove(self, name: str) -> None:
        """Kill and remove a container with its anonymous volumes; one that is gone already is fine."""
        with _explained(f"remove the container {name}"):
            try:
                self._api.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return

    def remove_volumes(self, label: str) -> None:
        """Remove the volumes with a label that no container uses any more."""
        with _explained("remove volumes"):
            for volume in self._api.volumes(filters={"label": label}).get("Volumes") or ():
                self._api.remove_volume(volume["Name"], force=True)

    def run(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a running container: its exit code, and what it wrote to both outputs."""
        with _explained(f"run {command[0]} in {name}"):
            execution = self._api.exec_create(name, list(command))["Id"]
            output = self._api.exec_start(execution)
            return int(self._api.exec_inspect(execution)["ExitCode"]), output.decode(errors="replace")

    def write(self, name: str, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write files (path -> content and mode, root:root) into a container, running or not."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, (content, mode) in files.items():
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode = len(content), mode
                tar.addfile(member, io.BytesIO(content))
        with _explained(f"write files into {name}"):
            self._api.put_archive(name, "/", buffer.getvalue())

    def logs(self, name: str, lines: int = 20) -> str:
        """The last lines of what a container printed."""
        with _explained(f"show the output of {name}"):
            return str(self._api.logs(name, tail=lines).decode(errors="replace"))
