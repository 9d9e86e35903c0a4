"""Containers run by containerd's own tool, from an image that a user loaded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from testinfra.host import Host

from kubeinstall.lab.example_images import BUSYBOX
from tests.lab import Lab, eventually, load_images

PAUSE = "registry.k8s.io/pause:3.10.1"

# A network as a CNI list describes it; one container's port 80 is the host's 8080, too.
NETWORK = {
    "cniVersion": "1.0.0",
    "name": "scenario",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "scenario",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.90.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {
            "type": "portmap",
            "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]},
        },
    ],
}


def ctr(lab: Lab, host: Host, command: str) -> str:
    """What containerd's own tool prints."""
    done = host.run(f"ctr --connect-timeout=3s --namespace=k8s.io {command}")
    # Its last line is the one that matters: containerd warns of what is old on the host before it.
    said = done.stderr.strip().rpartition("\n")[2]
    assert done.rc == 0, f"the container engine of {lab.name(host)} does not do `{command}`: {said}"
    return str(done.stdout)


@contextmanager
def container(
    lab: Lab, host: Host, name: str, command: str = "", options: str = "", image: str = BUSYBOX
) -> Iterator[None]:
    """A container that runs meanwhile; what runs in it is the image's own, or a command of the shell."""
    words = f"sh -c {shlex.quote(command)}" if command else ""
    remove(host, name)
    try:
        ctr(lab, host, f"run --detach {options} {image} {name} {words}")
        yield
    finally:
        remove(host, name)


def remove(host: Host, name: str) -> None:
    # To kill it is what gives its address back.
    tool = "ctr --connect-timeout=3s --namespace=k8s.io"
    host.run(f"{tool} task kill --signal=KILL {name}; {tool} task rm --force {name}; {tool} container rm {name}")


def inside(lab: Lab, host: Host, name: str, command: str) -> str:
    """What a command prints inside of a container."""
    return ctr(lab, host, f"task exec --exec-id={uuid4().hex} {name} sh -c {shlex.quote(command)}").strip()


def processes(lab: Lab, host: Host) -> dict[str, int]:
    """{container: its process on the host} of those that run."""
    lines = [line.split() for line in ctr(lab, host, "task ls").splitlines()[1:]]
    return {name: int(process) for name, process, state in lines if state == "RUNNING"}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    (host,) = lab.all
    return host


@pytest.fixture(scope="module")
def _image(lab: Lab) -> None:
    load_images(lab, BUSYBOX)


def test_the_container_that_holds_a_pod_together_runs(lab: Lab, host: Host) -> None:
    if PAUSE not in ctr(lab, host, "images ls --quiet").split():
        # It is left to be pulled where its registry answers.
        ctr(lab, host, f"images pull {PAUSE}")
    with container(lab, host, "pause", image=PAUSE):
        assert "pause" in processes(lab, host), "it has ended"


@pytest.mark.usefixtures("_image")
def test_a_container_runs_from_a_loaded_image_on_its_own(lab: Lab, host: Host) -> None:
    said = ctr(lab, host, f"run --rm {BUSYBOX} alone-{uuid4().hex} sh -c 'echo I am $$; ls /'")
    assert said.split()[:3] == ["I", "am", "1"], "it sees the processes of its host"
    assert "boot" not in said.split(), "it sees the files of its host"


@pytest.mark.usefixtures("_image")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param("systemctl restart containerd", id="restarted"),
        pytest.param("systemctl kill --kill-whom=main --signal=KILL containerd", id="killed"),
    ],
)
def test_containers_outlive_their_engine(lab: Lab, host: Host, how: str) -> None:
    with container(lab, host, "survivor", "echo here > /still; sleep 3600"):
        process = processes(lab, host)["survivor"]
        lab.sh(host, how)
        eventually(lambda: processes(lab, host), 20, "the container engine is back, and knows of a container")
        assert processes(lab, host)["survivor"] == process
        assert inside(lab, host, "survivor", "cat /still") == "here"
        with container(lab, host, "successor", "sleep 3600"):
            assert {"survivor", "successor"} <= processes(lab, host).keys()


@pytest.fixture
def _network(lab: Lab, host: Host) -> Iterator[None]:
    """The list that flannel would bring."""
    path = "/etc/cni/net.d/10-scenario.conflist"
    lab.sh(host, f"cat >{path} <<'EOF'\n{json.dumps(NETWORK)}\nEOF")
    try:
        yield
    finally:
        lab.sh(host, f"rm {path}; ip link delete scenario")


@pytest.mark.usefixtures("_image", "_network")
def test_containers_reach_each_other_and_are_reached_by_a_port_of_the_host(lab: Lab, host: Host) -> None:
    greet = "mkdir /www && echo hello > /www/index.html && exec httpd -f -p 80 -h /www"
    with container(lab, host, "greeter", greet, "--cni"), container(lab, host, "guest", "sleep 3600", "--cni"):
        address = inside(lab, host, "greeter", "ip -4 -o address show dev eth0").split()[3].split("/")[0]
        assert inside(lab, host, "guest", f"wget -q -O - http://{address}/") == "hello"
        assert lab.sh(host, f"curl --silent --max-time 5 http://{lab.address(host)}:8080/") == "hello\n"
