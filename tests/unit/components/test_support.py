"""Steps between versions, and what upstream supports together."""

from __future__ import annotations

import pytest
import yaml

from kubeinstall.components import Catalogue
from kubeinstall.components.support import DATA, minor, numbers, refused_step, unsupported


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("1.37.1", "1.37.1", ""),
        ("1.37.1", "1.37.10", ""),
        ("1.36.3", "1.37.0", ""),
        ("1.9.0", "1.10.0", ""),
        ("1.37.1", "1.37.0", "downgrade"),
        ("1.37.1", "1.36.3", "downgrade"),
        ("1.35.9", "1.37.1", "skip"),
        ("1.37.1", "2.0.0", "skip"),
    ],
)
def test_steps(before: str, after: str, refused: str) -> None:
    assert refused_step(before, after) == refused


@pytest.mark.parametrize("text", ["", "1.37", "v1.37.1", "latest", "1..1", "99999999999.1.1"])
def test_what_is_no_version(text: str) -> None:
    assert numbers(text) is None
    assert refused_step(text, "1.37.1") == ""


def test_what_follows_the_patch_does_not_count() -> None:
    assert numbers("1.37.1-rc.0+5") == (1, 37, 1)
    assert minor("1.37.1") == "1.37"


@pytest.mark.parametrize(
    ("kubernetes", "component", "version", "instead"),
    [
        ("1.37.1", "etcd", "3.6.14", ""),
        ("1.37.1", "etcd", "3.5.24", ""),
        ("1.37.1", "etcd", "3.5.23", "3.5 from 3.5.24, 3.6 from 3.6.0, 3.7 from 3.7.0"),
        ("1.37.1", "etcd", "3.8.0", "3.5 from 3.5.24, 3.6 from 3.6.0, 3.7 from 3.7.0"),
        ("1.36.3", "etcd", "3.7.0", ""),
        ("1.37.1", "containerd", "1.7.28", "2.2 from 2.2.0, 2.3 from 2.3.0"),
        ("1.37.1", "runc", "0.1.0", ""),
    ],
)
def test_pairs(kubernetes: str, component: str, version: str, instead: str) -> None:
    assert unsupported(kubernetes, component, version) == instead


def test_every_kubernetes_of_the_catalogue_is_listed_and_supports_all_that_is_offered() -> None:
    catalogue = Catalogue.load()
    assert list(yaml.safe_load(DATA.read_text())) == list(dict.fromkeys(map(minor, catalogue.versions("kubernetes"))))
    for kubernetes in catalogue.versions("kubernetes"):
        for component in ("etcd", "containerd"):
            for version in catalogue.versions(component):
                assert unsupported(kubernetes, component, version) == ""
