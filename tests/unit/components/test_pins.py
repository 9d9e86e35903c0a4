"""The digests beside an inventory: what a cluster's hosts run stays what it is, whichever machine a run comes from."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from kubeinstall.components.pins import NAME, Pins
from kubeinstall.components.store import File
from kubeinstall.errors import ComponentError, InputError

ONE, TWO = "1" * 64, "2" * 64
KEY = ("kubernetes", "1.37.1", "amd64", "kubelet")


def file_of(digest: str) -> File:
    return File("kubernetes", "kubelet", "1.37.1", "amd64", digest, 7, Path("/cache/kubelet"), "built from the module")


def test_what_a_host_runs_is_kept_for_good(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    assert pins.read() == {}
    assert not (tmp_path / NAME).exists()
    pins.add({KEY: ONE})
    pins.add({KEY: TWO, ("etcd", "3.6.14", "arm64", "etcd"): TWO})
    assert pins.read() == {KEY: ONE, ("etcd", "3.6.14", "arm64", "etcd"): TWO}
    lines = [line for line in (tmp_path / NAME).read_text().splitlines() if not line.startswith("#")]
    assert lines == [f"etcd 3.6.14 arm64 etcd {TWO}", f"kubernetes 1.37.1 amd64 kubelet {ONE}"]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    before = (tmp_path / NAME).stat().st_mtime_ns
    pins.add({KEY: TWO})
    assert (tmp_path / NAME).stat().st_mtime_ns == before


def test_another_build_is_refused_with_both_digests_and_the_remedy(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.check([file_of(TWO)])
    pins.add({KEY: ONE})
    pins.check([file_of(ONE)])
    with pytest.raises(ComponentError) as error:
        pins.check([file_of(TWO)])
    for part in ("kubelet 1.37.1 (amd64)", ONE, TWO, "/cache/kubelet", f"remove its line from {tmp_path / NAME}"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "line", ["<<<<<<< HEAD", "kubernetes 1.37.1 amd64 kubelet", f"a b c d {ONE[:-1]}", f"a b c {ONE}"]
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / NAME).write_text(f"# digests\n\n{line}\n")
    with pytest.raises(InputError, match=rf"{NAME}, line 3: "):
        Pins(tmp_path).read()


def test_one_key_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(f"a b c d {ONE}\na b c d {TWO}\n")
    with pytest.raises(InputError, match=rf"{NAME}, line 2: .*duplicate"):
        Pins(tmp_path).read()


def test_an_inventory_without_a_directory_has_none() -> None:
    pins = Pins(None)
    pins.add({KEY: ONE})
    pins.check([file_of(TWO)])
    assert pins.read() == {}


def _add(directory: Path, number: int) -> None:
    Pins(directory).add({("c", "1", "amd64", f"f{number}"): ONE})


def test_workers_add_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(tmp_path, number)) for number in range(30)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(Pins(tmp_path).read()) == 30


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Pins(tmp_path / "none").add({KEY: ONE})
