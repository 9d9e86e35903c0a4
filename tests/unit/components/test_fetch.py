"""`fetch` against an upstream that is well, is not what it should be, or is not there."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeinstall.components import BUILD, RELEASE, Catalogue, Store, download, fetch
from kubeinstall.components.build import Toolchain
from kubeinstall.errors import ComponentError, InputError

if TYPE_CHECKING:
    from tests.unit.components.conftest import Notes, Upstream

TOOL = "/tool-1.2.3-amd64"


def parts(store: Store) -> list[str]:
    """What lies about besides files, records and locks."""
    return [path.name for path in store.root.rglob(".*") if path.name != ".lock"]


def test_a_bare_program_comes_from_upstream_once(store: Store, upstream: Upstream, notes: Notes) -> None:
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store, progress=notes)
    assert file.path.read_bytes() == upstream.files[TOOL]
    assert file.source == f"release {upstream.url}{TOOL}"
    assert notes.steps[-1] == ("tool-1.2.3-amd64", 800_000, 800_000, "bytes")
    assert notes.sentences == []
    assert fetch(["tool"], versions={}, architecture="amd64", store=store) == [file]
    assert upstream.requests == [(TOOL, None)]
    assert parts(store) == []


def test_an_archive_fills_the_cache_with_the_whole_component(store: Store, upstream: Upstream) -> None:
    (beta,) = fetch(["beta"], versions={}, architecture="amd64", store=store)
    assert beta.path.read_bytes() == b"beta"
    alpha = store.locate("alpha", "1.2.3", "amd64")
    assert alpha is not None
    assert fetch(["pair"], versions={}, architecture="amd64", store=store) == [alpha, beta]
    assert len(upstream.requests) == 1


def test_files_come_in_the_order_of_the_names(store: Store) -> None:
    files = fetch(["beta", "tool", "pair"], versions={}, architecture="amd64", store=store)
    assert [file.name for file in files] == ["beta", "tool", "alpha"]


def test_another_version(store: Store, upstream: Upstream) -> None:
    upstream.files["/tool-1.2.2-amd64"] = upstream.files[TOOL]
    (file,) = fetch(["tool"], versions={"tool": "1.2.2"}, architecture="amd64", store=store)
    assert file.version == "1.2.2"
    assert file.path.parent == store.root / "tool/1.2.2/amd64"


def test_a_wrong_digest_stops_and_never_falls_back(store: Store, upstream: Upstream, notes: Notes) -> None:
    upstream.files["/pause-1.2.3-amd64"] = b"something else"
    with pytest.raises(
        ComponentError, match=r"pause-1.2.3-amd64: the file has the digest sha256:.* and not the pinned"
    ):
        fetch(["pause"], versions={}, architecture="amd64", store=store, progress=notes)
    assert store.locate("pause", "1.2.3", "amd64") is None
    assert notes.sentences == []
    assert parts(store) == []


def test_a_download_that_breaks_off_goes_on_from_there(store: Store, upstream: Upstream, notes: Notes) -> None:
    upstream.cuts[TOOL] = [300_000]
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store, progress=notes)
    assert file.path.read_bytes() == upstream.files[TOOL]
    assert [path for path, _ in upstream.requests] == [TOOL, TOOL]
    resumed = upstream.requests[1][1]
    assert resumed is not None
    assert resumed.startswith("bytes=")
    assert "broke off" in notes.sentences[0]


def test_an_upstream_without_ranges_is_asked_for_all_of_it(store: Store, upstream: Upstream) -> None:
    upstream.cuts[TOOL], upstream.ranges = [300_000], False
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store)
    assert file.path.read_bytes() == upstream.files[TOOL]


@pytest.mark.parametrize("rest", [b"of another file", b"x" * 900_000])
def test_a_part_that_is_of_another_file_is_dropped(store: Store, upstream: Upstream, rest: bytes) -> None:
    part = store.directory("tool", "1.2.3", "amd64") / ".download-tool-1.2.3-amd64"
    part.parent.mkdir(parents=True)
    part.write_bytes(rest)
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store)
    assert file.path.read_bytes() == upstream.files[TOOL]
    assert len(upstream.requests) == 2


def test_one_that_always_breaks_off_is_given_up(store: Store, upstream: Upstream) -> None:
    upstream.cuts[TOOL] = [0] * 9
    with pytest.raises(ComponentError, match="broke off 4 times"):
        fetch(["tool"], versions={}, architecture="amd64", store=store)


def test_an_archive_that_lacks_a_program(store: Store, upstream: Upstream, tmp_path: Path) -> None:
    text = (tmp_path / "catalogue.yml").read_text(encoding="utf-8").replace("pair/beta", "pair/gamma")
    other = tmp_path / "other.yml"
    other.write_text(text, encoding="utf-8")
    store = Store(store.root, catalogue=Catalogue.load(other))
    with pytest.raises(ComponentError, match="the archive lacks beta"):
        fetch(["alpha"], versions={}, architecture="amd64", store=store)


def test_a_mirror_is_asked_before_upstream(store: Store, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"/mirror/{upstream.url.removeprefix('http://')}"
    upstream.files[place + TOOL] = upstream.files[TOOL]
    monkeypatch.setenv("KUBEINSTALL_MIRROR", f"{upstream.url}/mirror/")
    (tool, alpha) = fetch(["tool", "alpha"], versions={}, architecture="amd64", store=store)
    assert tool.source == f"release {upstream.url}{place}{TOOL}"
    # What it lacks comes from upstream.
    assert place not in alpha.source
    upstream.files[place + "/pause-1.2.3-amd64"] = b"something else"
    with pytest.raises(ComponentError, match=r"mirror/.*pause-1.2.3-amd64: the file has the digest .* not the pinned"):
        fetch(["pause"], versions={}, architecture="amd64", store=store)
    monkeypatch.setenv("KUBEINSTALL_MIRROR", "mirror.example.org")
    with pytest.raises(InputError, match=r"'mirror.example.org' is no URL .*https://"):
        fetch(["pause"], versions={}, architecture="amd64", store=store)


def test_falling_back_to_a_build_says_why(store: Store, upstream: Upstream, notes: Notes, toolchain: Toolchain) -> None:
    del upstream.files["/pause-1.2.3-amd64"]
    (file,) = fetch(["pause"], versions={}, architecture="amd64", store=store, progress=notes)
    assert file.source == f"built from the module pause with Go {toolchain.version}"
    reason = f"{upstream.url}/pause-1.2.3-amd64 answered 404 Not Found"
    assert notes.sentences == [f"pause 1.2.3 (amd64): {reason}. Falling back to a build from source"]


def test_the_build_can_be_chosen(store: Store, upstream: Upstream, toolchain: Toolchain) -> None:
    (release,) = fetch(["pause"], versions={}, architecture="amd64", store=store)
    (built,) = fetch(["pause"], versions={}, architecture="amd64", store=store, sources=(BUILD,), again=True)
    assert release.source.startswith("release ")
    assert built.source.startswith("built ")
    assert store.locate("pause", "1.2.3", "amd64") == built


def test_without_a_digest_upstream_is_refused_until_one_is_pinned(store: Store, upstream: Upstream) -> None:
    with pytest.raises(ComponentError, match=r"no digest of upstream's file is known .* --digest unpinned=sha256:HEX"):
        fetch(["unpinned"], versions={}, architecture="amd64", store=store, sources=(RELEASE,))
    assert upstream.requests == []
    with pytest.raises(InputError, match="is no digest"):
        fetch(["unpinned"], versions={}, architecture="amd64", store=store, digests={"unpinned": "abc"})
    wrong = f"sha256:{'0' * 64}"
    with pytest.raises(ComponentError, match="not the pinned"):
        fetch(["unpinned"], versions={}, architecture="amd64", store=store, digests={"unpinned": wrong})
    digest = f"sha256:{hashlib.sha256(upstream.files['/unpinned-1.2.3-amd64']).hexdigest()}"
    (file,) = fetch(["unpinned"], versions={}, architecture="amd64", store=store, digests={"unpinned": digest})
    assert file.path.read_bytes() == b"unpinned from upstream"


def test_a_published_digest_is_not_replaced_by_another(store: Store, upstream: Upstream) -> None:
    wrong = f"sha256:{'0' * 64}"
    with pytest.raises(InputError, match=f"the digest of pause 1.2.3 .amd64. is sha256:.*, not {wrong}"):
        fetch(["pause"], versions={}, architecture="amd64", store=store, digests={"pause": wrong})
    assert upstream.requests == []


def test_an_unreachable_upstream_is_asked_once(store: Store, upstream: Upstream, notes: Notes, tmp_path: Path) -> None:
    with socket.socket() as closed:
        # Bound and not listening: connections are refused, and nobody else can take the port meanwhile.
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        path = tmp_path / "dead.yml"
        text = (tmp_path / "catalogue.yml").read_text(encoding="utf-8")
        path.write_text(text.replace(upstream.url, dead), encoding="utf-8")
        store = Store(store.root, catalogue=Catalogue.load(path))
        for _ in range(2):
            with pytest.raises(
                ComponentError, match=r"no source has tool 1.2.3 .*: 127.0.0.1 cannot be reached: .*refused"
            ):
                fetch(["tool"], versions={}, architecture="amd64", store=store, progress=notes)
    # Answered from memory: were it asked, this server would have the file.
    with pytest.raises(ComponentError, match="cannot be reached"):
        fetch(
            ["tool"],
            versions={},
            architecture="amd64",
            store=Store(store.root, catalogue=Catalogue.load(tmp_path / "catalogue.yml")),
        )
    assert upstream.requests == []


def test_an_upstream_that_accepts_and_says_nothing(
    store: Store, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        path = tmp_path / "mute.yml"
        text = (tmp_path / "catalogue.yml").read_text(encoding="utf-8")
        path.write_text(text.replace(upstream.url, f"http://127.0.0.1:{mute.getsockname()[1]}"), encoding="utf-8")
        store = Store(store.root, catalogue=Catalogue.load(path))
        with pytest.raises(ComponentError, match=r"127\.0\.0\.1 did not answer within"):
            fetch(["tool"], versions={}, architecture="amd64", store=store)


def test_a_corrupt_file_is_had_again_with_a_word(store: Store, upstream: Upstream, notes: Notes) -> None:
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store)
    file.path.write_bytes(b"x" * file.size)
    assert fetch(["tool"], versions={}, architecture="amd64", store=store, progress=notes) == [file]
    assert file.path.read_bytes() == upstream.files[TOOL]
    assert notes.sentences == [
        "the cached tool 1.2.3 does not have the digest it was stored with: it is not used, and had again"
    ]


def test_unknown_input_is_refused_before_anything_is_done(store: Store, upstream: Upstream) -> None:
    for names, versions, architecture in (
        (["tool", "nothing"], {}, "amd64"),
        (["tool"], {"tool": "9"}, "amd64"),
        (["tool"], {"nothing": "1"}, "amd64"),
        (["tool"], {}, "mips"),
    ):
        with pytest.raises(InputError, match="unknown"):
            fetch(names, versions=versions, architecture=architecture, store=store)
    assert upstream.requests == []
    assert not store.root.exists()


def test_a_cache_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ComponentError, match="the cache cannot be used"):
        fetch(["tool"], versions={}, architecture="amd64", store=store)


RUN = """
import sys
from pathlib import Path
from kubeinstall.components import Catalogue, Store, fetch

class Lines:
    def said(self, text): print(text, flush=True)
    def step(self, label, done, total, unit): print(done, flush=True)

store = Store(Path(sys.argv[1]), catalogue=Catalogue.load(Path(sys.argv[2])))
(file,) = fetch([sys.argv[3]], versions={}, architecture="amd64", store=store, progress=Lines())
print(file.sha256)
"""


def run(store: Store, catalogue_path: Path, name: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", RUN, str(store.root), str(catalogue_path), name]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_two_processes_get_a_file_once(store: Store, upstream: Upstream, catalogue_path: Path) -> None:
    upstream.delay = 1.0
    with run(store, catalogue_path, "tool") as first, run(store, catalogue_path, "tool") as second:
        outputs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    file = store.verified("tool", "1.2.3", "amd64")
    assert file is not None
    assert all(output.endswith(f"{file.sha256}\n") for output in outputs)
    assert upstream.requests == [(TOOL, None)]
    assert sum("waiting for another run that is getting tool 1.2.3" in output for output in outputs) == 1


def test_after_a_killed_run_the_next_goes_on(store: Store, upstream: Upstream, catalogue_path: Path) -> None:
    upstream.stalls[TOOL] = 5.0
    part = store.directory("tool", "1.2.3", "amd64") / ".download-tool-1.2.3-amd64"
    with run(store, catalogue_path, "tool") as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert part.stat().st_size
    assert store.locate("tool", "1.2.3", "amd64") is None
    (file,) = fetch(["tool"], versions={}, architecture="amd64", store=store)
    assert file.path.read_bytes() == upstream.files[TOOL]
    assert upstream.requests[-1][1] is not None
    assert parts(store) == []
