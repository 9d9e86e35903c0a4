from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from kubeinstall.components import Catalogue, architectures, machine_architecture
from kubeinstall.components.build import modules_folder
from kubeinstall.errors import InputError

SHIPPED = Catalogue.load()

TINY = """
tool:
  default: "1.2.3"
  files: [tool]
  release: {url: "https://example.org/tool"}
  versions:
    "1.2.3": {digests: {amd64: DIGEST}}
"""


def load(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "catalogue.yml"
    path.write_text(text, encoding="utf-8")
    return Catalogue.load(path)


@pytest.mark.parametrize(
    ("file_name", "component"),
    [
        ("kubelet", "kubernetes"),
        ("etcdutl", "etcd"),
        ("containerd-shim-runc-v2", "containerd"),
        ("host-local", "cni-plugins"),
        ("flannel", "flannel-cni"),
        ("flanneld", "flannel"),
        ("cri-dockerd", "cri-dockerd"),
    ],
)
def test_component_of(file_name: str, component: str) -> None:
    assert SHIPPED.component_of(file_name) == component


def test_a_name_that_is_both_means_the_file() -> None:
    assert SHIPPED.expand(["etcd"]) == ("etcd",)
    assert SHIPPED.expand(["flannel-cni", "flannel", "etcd", "kubectl"]) == ("flannel", "etcd", "kubectl")
    assert len(SHIPPED.expand(["kubernetes"])) == 6


def test_versions_and_their_default() -> None:
    assert SHIPPED.versions("kubernetes") == ("1.37.1", "1.37.0", "1.36.3")
    assert SHIPPED.default("kubernetes") == "1.37.1"


def test_unknown_names_come_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"unknown version '1.35.0' of kubernetes \(known are 1.37.1, 1.37.0, 1.36.3\)"
    ):
        SHIPPED.version("kubernetes", "1.35.0")
    with pytest.raises(InputError, match=r"unknown file 'kubelett' \(did you mean kubelet\?"):
        SHIPPED.component_of("kubelett")
    with pytest.raises(InputError, match=r"unknown component 'nothing' \(known are cni-plugins, containerd"):
        SHIPPED.default("nothing")
    with pytest.raises(InputError, match="unknown file or component 'flaneld'"):
        SHIPPED.expand(["etcd", "flaneld"])


def test_every_default_can_be_had_without_upstream_or_is_optional() -> None:
    for name, component in SHIPPED.components.items():
        assert component.optional or component.versions[component.default].module, name


def test_modules_pin_the_catalogued_version() -> None:
    for component in SHIPPED.components.values():
        for version, entry in component.versions.items():
            if entry.module is None:
                continue
            go_mod = (modules_folder() / entry.module / "go.mod").read_text(encoding="utf-8")
            assert component.build is not None
            for package in component.build.packages.values():
                required = re.findall(r"^\s*(?:require )?(\S+) v(\d\S*)(?: // indirect)?$", go_mod, re.MULTILINE)
                pinned = {number for module, number in required if f"{package}/".startswith(f"{module}/")}
                assert pinned == ({version} if package != "." else set()), package


def test_modules_need_no_newer_go_than_the_oldest_that_can_build_them_all() -> None:
    for go_mod in modules_folder().glob("*/go.mod"):
        (line,) = re.findall(r"^go (\d+)\.(\d+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
        assert tuple(map(int, line)) <= (1, 26), go_mod


def test_digests_are_read_strictly(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is no digest"):
        load(tmp_path, TINY.replace("DIGEST", "sha256:123"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("files:", "file:", "Extra inputs are not permitted"),
        ('default: "1.2.3"', 'default: "1.2.4"', "not among the versions"),
        ("amd64:", "s390x:", "unknown architectures: s390x"),
        ("{digests", "{module: tool, digests", "has a module, but there is no build"),
        ("tool}", "tool, members: {other: x}}", "must name each file once"),
    ],
)
def test_mistakes_in_the_data_are_found(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TINY.replace("DIGEST", "null").replace('tool"}', "tool}").replace('"https', "https")
    assert load(tmp_path, text).files("tool") == ("tool",)
    assert old in text
    changed = tmp_path / "changed"
    changed.mkdir()
    with pytest.raises(ValidationError, match=message):
        load(changed, text.replace(old, new))


def test_one_file_belongs_to_one_component(tmp_path: Path) -> None:
    text = TINY.replace("DIGEST", "null")
    with pytest.raises(ValueError, match="the file tool belongs to two components: tool and twin"):
        load(tmp_path, text + text.replace("\ntool:", "\ntwin:"))


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("AMD64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")]
)
def test_machine_architecture(machine: str, architecture: str) -> None:
    assert machine_architecture(machine) == architecture
    assert architecture in architectures


def test_no_components_for_other_machines() -> None:
    with pytest.raises(InputError, match="riscv64"):
        machine_architecture("riscv64")
