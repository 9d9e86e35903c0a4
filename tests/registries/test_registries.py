"""What nodes pull from real registries, and what a run says of registries and leaves behind of their passwords."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import Cluster
from tests.engines.state import want
from tests.lab import SNAPSHOT, recap
from tests.registries.pods import not_pulled, pod, pulled, restarts
from tests.registries.servers import MIRRORED, PASSWORD, USER, WRONG, Servers

CONFIG, PROXY = "/var/lib/kubelet/config.json", "/etc/container-engine/proxy.env"
SECRETS = [PASSWORD, WRONG, *(base64.b64encode(f"{USER}:{one}".encode()).decode() for one in (PASSWORD, WRONG))]
printed: list[str] = []


def private(servers: Servers, **more: Any) -> dict[str, Any]:
    """The entry of the private registry; None takes a key out."""
    entry = {"name": servers.names["private"], "authority": str(servers.authority)}
    entry |= {"username": USER, "password": PASSWORD, **more}
    return {key: value for key, value in entry.items() if value is not None}


@contextmanager
def wanted(cluster: Cluster, node: str, *registries: dict[str, Any], **more: Any) -> Iterator[None]:
    """What the inventory says of the node besides its engine, until the next run after this."""
    engine = engine_of(cluster, node)
    want(cluster, node, engine, {"container_engine_registries": list(registries), **more})
    try:
        yield
    finally:
        want(cluster, node, engine)


def apply(cluster: Cluster, *arguments: str, code: int = 0) -> str:
    """What the roles that read the inputs do, in one line."""
    command = ("run", "-i", cluster.inventory, "container_engine", "kubelet", *arguments)
    text = " ".join(cluster.command(*command, code=code).split())
    printed.append(text)
    return text


def changed(cluster: Cluster, *arguments: str, playbook: str = "container_engine") -> int:
    text = cluster.playbook(playbook, *arguments)
    printed.append(text)
    return sum(counts["changed"] for counts in recap(text).values())


@contextmanager
def commands() -> Iterator[set[str]]:
    """The command lines of all processes meanwhile, here and on the lab's hosts, which are containers here."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                # A process may end while it is looked at.
                with suppress(OSError):
                    seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def engine_of(cluster: Cluster, node: str) -> str:
    return str(cluster.lab.variables(node)["container_engine"])


def test_a_pod_pulls_with_what_its_node_knows(cluster: Cluster, servers: Servers, node: str) -> None:
    cluster.sh(node, f"echo '{{\"auths\": {{}}}}' > {CONFIG}")
    with wanted(cluster, node, private(servers)):
        foreseen = apply(cluster, "--check", "--diff")
        assert f"{CONFIG} (0600 0:0)" in foreseen
        assert "(kept secret): another content" in foreseen
        with commands() as seen:
            apply(cluster)
        assert any("containerd" in line for line in seen)
        assert [line for line in seen if any(secret in line for secret in SECRETS)] == []
        pulled(cluster, node, servers.image)
        assert cluster.sh(node, f"stat --format=%a:%U {CONFIG}") == "600:root\n"
        assert cluster.sh(node, f"cat /var/lib/kubeinstall/originals{CONFIG}") == '{"auths": {}}\n'
        assert changed(cluster, playbook="site") == 0
        assert changed(cluster, "--check", "--diff", playbook="site") == 0


def test_without_a_user_it_is_refused(cluster: Cluster, servers: Servers, node: str) -> None:
    with wanted(cluster, node, private(servers, username=None, password=None)):
        apply(cluster)
        assert not cluster.host(node).file(CONFIG).exists
        assert re.search("401 Unauthorized|no basic auth credentials", not_pulled(cluster, node, servers.image))


def test_without_the_registrys_authority_it_is_not_believed(cluster: Cluster, servers: Servers, node: str) -> None:
    with wanted(cluster, node, private(servers, authority=None)):
        said = apply(cluster)
        name = servers.names["private"]
        assert f"the registry {name} could not be asked whether it takes the user kube: its certificate is not" in said
        assert "certificate signed by unknown authority" in not_pulled(cluster, node, servers.image)


@pytest.mark.parametrize("which", ["mirror", "locked-mirror"])
def test_a_mirror_of_docker_hub(cluster: Cluster, servers: Servers, node: str, which: str) -> None:
    if which == "locked-mirror" and engine_of(cluster, node) == "docker":
        pytest.skip("Docker sends its mirrors no credentials, which is refused beforehand")
    own = private(servers, name=servers.names[which])
    if which == "mirror":
        own = {key: own[key] for key in ("name", "authority")}
    # The first is not there.
    mirrors = [f"https://{servers.address}:5999", f"https://{servers.names[which]}"]
    with wanted(cluster, node, {"name": "docker.io", "mirrors": mirrors}, own):
        apply(cluster)
        pulled(cluster, node, MIRRORED)
        asked = [line for line in servers.log(which) if "/v2/library/kubeinstall-mirrored/manifests" in line]
        assert any("ns=docker.io" in line or engine_of(cluster, node) == "docker" for line in asked)
        assert changed(cluster) == 0


def test_by_a_proxy_while_pods_go_on(cluster: Cluster, servers: Servers, node: str) -> None:
    line = f"CONNECT {servers.names['private']}"
    with wanted(cluster, node, private(servers)):
        apply(cluster)
    with pod(cluster, node, servers.image) as name:
        with wanted(cluster, node, private(servers), container_engine_https_proxy=servers.proxy):
            before = servers.log("proxy").count(line)
            apply(cluster)
            asked = servers.log("proxy").count(line)
            # The host itself, when it asked whether the credentials do.
            assert asked > before
            pulled(cluster, node, servers.image)
            assert servers.log("proxy").count(line) > asked
            assert changed(cluster) == 0
        direct = {"container_engine_no_proxy": [servers.address]}
        with wanted(cluster, node, private(servers), container_engine_https_proxy=servers.proxy, **direct):
            apply(cluster)
            before = servers.log("proxy").count(line)
            pulled(cluster, node, servers.image)
            assert servers.log("proxy").count(line) == before
        assert restarts(cluster, name) == 0


def test_a_proxys_password_is_for_root_alone(cluster: Cluster, servers: Servers, node: str) -> None:
    unit = {"containerd": "containerd", "docker": "docker"}[engine_of(cluster, node)]
    url = servers.proxy.replace("://", f"://{USER}:{WRONG}@")
    with wanted(cluster, node, private(servers), container_engine_https_proxy=url):
        assert "(kept secret)" in apply(cluster, "--check", "--diff")
        apply(cluster)
        pulled(cluster, node, servers.image)
        assert cluster.sh(node, f"stat --format=%a:%U {PROXY}") == "600:root\n"
        assert WRONG not in cluster.sh(node, f"systemctl show {unit}; systemctl cat {unit}")
        assert url in cluster.sh(node, f"cat /proc/$(systemctl show --property=MainPID --value {unit})/environ")
    # What held it is not shown either when it goes.
    assert "(kept secret)" in apply(cluster, "--check", "--diff")


def test_the_pause_image_comes_from_a_private_registry(cluster: Cluster, servers: Servers, node: str) -> None:
    if engine_of(cluster, node) == "docker":
        pytest.skip("cri-dockerd pulls the pause image")
    # kubeinstall puts its own in the place of one whose registry the host itself does not believe.
    trusted = "/usr/local/share/ca-certificates/registry.crt"
    cluster.sh(node, f"echo '{servers.authority.read_text()}' > {trusted}; update-ca-certificates")
    try:
        with wanted(cluster, node, private(servers, authority=None), container_engine_pause_image=servers.image):
            apply(cluster)
            cluster.sh(node, f"ctr --namespace k8s.io images remove --sync {servers.image}")
            assert changed(cluster) == 0
            pulled(cluster, node, servers.image)
            sandboxes = cluster.sh(node, "ctr --namespace k8s.io containers list")
            assert sandboxes.count(servers.image) == 2, sandboxes
    finally:
        cluster.sh(node, f"rm {trusted}; update-ca-certificates --fresh")


def test_a_wrong_password_is_said_before_anything_is_touched(cluster: Cluster, servers: Servers, node: str) -> None:
    with wanted(cluster, node, private(servers)):
        apply(cluster)
    # What cri-dockerd keeps of pods goes when they have ended.
    look = f"({SNAPSHOT}) | grep -v ^/var/lib/cri-dockerd/sandbox/; sha256sum {CONFIG} /var/lib/kubeinstall/*.json"
    before = cluster.sh(node, look), cluster.invocations()
    with wanted(cluster, node, private(servers, password=WRONG)):
        said = apply(cluster, code=1)
    refused = f"the registry {servers.names['private']} refuses the user kube with the password that it was given"
    assert re.search(rf"{node}, [^ ]*host_vars/{node}.yml:2: {re.escape(refused)}", said), said
    assert (cluster.sh(node, look), cluster.invocations()) == before


def test_a_registry_that_is_away_stops_no_run(cluster: Cluster, servers: Servers, node: str) -> None:
    with wanted(cluster, node, private(servers)):
        apply(cluster)
        servers.stop("private")
        try:
            said = apply(cluster)
            name = servers.names["private"]
            sentence = f"the registry {name} could not be asked whether it takes the user kube: Connection refused"
            assert sentence in said
            assert changed(cluster) == 0
        finally:
            servers.start("private")
        pulled(cluster, node, servers.image)


def test_all_of_it_goes(cluster: Cluster, servers: Servers, node: str) -> None:
    with wanted(cluster, node, private(servers), container_engine_https_proxy=servers.proxy):
        apply(cluster)
    assert "(kept secret)" in apply(cluster, "--check", "--diff")
    apply(cluster)
    for path in (CONFIG, PROXY):
        assert not cluster.host(node).file(path).exists
    left = cluster.sh(node, "find /etc/containerd/certs.d /etc/docker/certs.d -type f 2>/dev/null || true")
    assert left == ""
    assert changed(cluster) == 0


def test_no_password_is_in_what_was_printed_or_kept(cluster: Cluster) -> None:
    runs = cluster.inventory / ".kubeinstall" / "runs"
    kept = [path for path in runs.rglob("*") if path.is_file()]
    assert len(kept) > 10
    texts = {str(path): path.read_text(errors="replace") for path in kept} | dict(enumerate(printed))
    assert [(place, secret) for place, text in texts.items() for secret in SECRETS if secret in text] == []
