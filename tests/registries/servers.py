"""Debian's docker-registry, three times, and a proxy, as services of the lab's first control plane."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from kubeinstall.certificates import CertificateRequest
from kubeinstall.components import fetch, machine_architecture
from kubeinstall.images import scratch_archive
from kubeinstall.pki import PKI
from tests.clusters import ROOT, Cluster
from tests.lab import BIN, eventually

__all__ = ["MIRRORED", "PASSWORD", "USER", "WRONG", "Servers", "program"]

USER, PASSWORD, WRONG = "kube", "correct-horse:42%", "wrong-battery-staple"
FOLDER = "/srv/registries"
# Docker Hub has none of that name, and no lab host reaches it.
MIRRORED = "docker.io/library/kubeinstall-mirrored:1"
PORTS = {"private": 5000, "mirror": 5001, "locked-mirror": 5002}
PROXY_PORT = 3128


def program(folder: Path) -> Path:
    """docker-registry of this machine's distribution, unpacked and not installed."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("docker-registry comes from Debian's packages, and this machine has no apt")
    got = subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, capture_output=True, text=True)
    if got.returncode:
        pytest.skip(f"docker-registry cannot be downloaded: {got.stderr.strip().splitlines()[-1]}")
    (package,) = folder.glob("docker-registry_*.deb")
    subprocess.run(["dpkg", "-x", package, folder / "package"], check=True)
    return folder / "package/usr/bin/docker-registry"


class Servers:
    """`authority` is the file of theirs on this machine."""

    def __init__(self, lab: Cluster, folder: Path, registry: Path) -> None:
        self.lab, self.folder, self.registry = lab, folder, registry
        self.host = lab.control_plane[0]
        self.address = lab.addresses[self.host]
        self.names = {which: f"{self.address}:{port}" for which, port in PORTS.items()}
        self.proxy = f"http://{self.address}:{PROXY_PORT}"
        self.authority = folder / "pki/kubernetes/ca.crt"

    def run(self) -> None:
        """All of them, anew."""
        pki = PKI(self.folder / "pki")
        pki.ensure()
        request = CertificateRequest("kubernetes", "registry", (), (), (self.address,), frozenset({"server"}))
        certificate, key = pki.issue(request)
        (self.folder / "server.crt").write_text(certificate)
        (self.folder / "server.key").write_text(key)
        self.lab.sh(self.host, f"rm -rf {FOLDER}; mkdir -p {FOLDER}")
        files = [self.registry, self.folder / "server.crt", self.folder / "server.key", self.authority]
        for file in [*files, Path(__file__).with_name("proxy.py")]:
            self.bring(file)
        # Debian's Python knows bcrypt, the only kind of password that the registry takes.
        make = "import crypt, sys; print('kube:' + crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH)))"
        self.lab.sh(self.host, f"python3 -W ignore -c \"{make}\" '{PASSWORD}' > {FOLDER}/users")
        for which, port in PORTS.items():
            tls = {"certificate": f"{FOLDER}/server.crt", "key": f"{FOLDER}/server.key"}
            settings = {
                "version": "0.1",
                "storage": {"filesystem": {"rootdirectory": f"{FOLDER}/{which}"}},
                "http": {"addr": f":{port}", "tls": tls},
            }
            if which != "mirror":
                settings["auth"] = {"htpasswd": {"realm": "test", "path": f"{FOLDER}/users"}}
            (self.folder / f"{which}.yml").write_text(yaml.safe_dump(settings))
            self.bring(self.folder / f"{which}.yml")
            self.start(which)
        self.start("proxy")

    def bring(self, file: Path) -> None:
        arguments = f"src={file} dest={FOLDER}/{file.name} mode=preserve"
        command = [BIN / "ansible", "-i", self.lab.inventory, self.host, "-m", "ansible.builtin.copy", "-a", arguments]
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, which: str) -> None:
        unit = f"test-{which}"
        proxy = f"/usr/bin/python3 -u {FOLDER}/proxy.py {PROXY_PORT}"
        command = proxy if which == "proxy" else f"{FOLDER}/docker-registry serve {FOLDER}/{which}.yml"
        self.lab.sh(self.host, f"systemctl stop {unit} 2>/dev/null; systemctl reset-failed {unit} 2>/dev/null; true")
        self.lab.sh(self.host, f"systemd-run --unit={unit} {command}")
        port = PORTS.get(which, PROXY_PORT)
        eventually(lambda: self.lab.sh(self.host, f"ss -Hltn sport = :{port}"), 30, f"{which} listens")

    def stop(self, which: str) -> None:
        self.lab.sh(self.host, f"systemctl stop test-{which}")

    def fill(self) -> None:
        """An image into each, pushed by the control plane's containerd, where no pod's image is."""
        (pause,) = fetch(["pause"], versions={}, architecture=machine_architecture())
        reference = "kubeinstall.local/app:1"
        archive = scratch_archive(
            reference,
            {"/pause": pause.path, "/made-for-a-registry": Path(__file__)},
            entrypoint=["/pause"],
            architecture=machine_architecture(),
            cache=self.folder,
        )
        self.bring(archive)
        ctr = "ctr --namespace registries images"
        self.lab.sh(self.host, f"{ctr} import {FOLDER}/{archive.name}")
        mirrored = MIRRORED.removeprefix("docker.io/")
        for name in (self.image, *(f"{self.names[which]}/{mirrored}" for which in ("mirror", "locked-mirror"))):
            self.lab.sh(self.host, f"{ctr} tag --force {reference} {name}")
            self.lab.sh(self.host, f"{ctr} push --local --user '{USER}:{PASSWORD}' --tlscacert {FOLDER}/ca.crt {name}")

    @property
    def image(self) -> str:
        """The one of the private registry."""
        return f"{self.names['private']}/team/app:1"

    def log(self, which: str) -> list[str]:
        text = self.lab.sh(self.host, f"journalctl --no-pager --output=cat --unit=test-{which}")
        return text.splitlines()
