"""A release file from upstream: streamed to disk, resumed where it broke off, believed only by its digest."""

from __future__ import annotations

import queue
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import httpx

from kubeinstall.components.progress import Progress
from kubeinstall.components.store import digest_of
from kubeinstall.errors import ComponentError, UnavailableError

__all__ = ["download", "extract"]

CONNECT_SECONDS = 5.0
# From the request to the first byte, redirects and name resolution (which no client can bound) included.
ANSWER_SECONDS = 12.0
# A connection that stays silent for this long counts as broken.
READ_SECONDS = 30.0
ATTEMPTS = 4
CHUNK = 1 << 20

# Hosts that did not answer, and why: each later file of this process falls back at once instead of waiting again.
_unreachable: dict[str, str] = {}


def download(url: str, digest: str, part: Path, progress: Progress) -> None:
    """Fetches `url` into the file `part`, going on from what an earlier try left there.

    Raises UnavailableError when upstream cannot be reached or does not have the file, and ComponentError when what it
    sent is not the file of this digest ("sha256:HEX" or "sha512:HEX"); then nothing of it stays.
    """
    host = httpx.URL(url).host
    if reason := _unreachable.get(host):
        raise UnavailableError(reason)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    with httpx.Client(timeout=timeout, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client:
        resumed = part.exists() and part.stat().st_size > 0
        _receive(client, url, part, progress)
        if resumed and digest_of(part, digest) != digest:
            # The part that was there may have been of another file: only a whole new download tells.
            part.unlink()
            _receive(client, url, part, progress)
    if (found := digest_of(part, digest)) != digest:
        part.unlink()
        raise ComponentError(
            f"the file has the digest {found} and not the pinned {digest}",
            where=url,
            remedy="nothing was installed; find out who answers at that address (a proxy?) before trying again",
        )


def extract(archive: Path, members: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Takes files (name -> path inside) out of a tar archive, to `folder`/name. ComponentError if one lacks."""
    wanted = {str(PurePosixPath(path)): name for name, path in members.items()}
    found: dict[str, Path] = {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = wanted.get(str(PurePosixPath(member.name)))
                stream = tar.extractfile(member) if name and member.isreg() else None
                if name is None or stream is None:
                    continue
                found[name] = folder / name
                with stream, found[name].open("wb") as target:
                    while block := stream.read(CHUNK):
                        target.write(block)
                if len(found) == len(wanted):
                    break
    except (tarfile.TarError, EOFError) as error:
        raise ComponentError(f"not a readable archive: {error}", where=str(archive)) from error
    if missing := set(members) - set(found):
        raise ComponentError(f"the archive lacks {', '.join(sorted(missing))}", where=str(archive))
    return found


def _receive(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    """Brings `part` to the full length of `url`; a connection that breaks is resumed a few times."""
    label = url.rsplit("/", 1)[-1]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _receive_once(client, url, part, label, progress)
        except httpx.TransportError as error:
            if attempt == ATTEMPTS:
                raise UnavailableError(f"the download of {url} broke off {ATTEMPTS} times: {_said(error)}") from error
            progress.said(f"the download of {label} broke off ({_said(error)}), going on from where it was")
        else:
            return


def _receive_once(client: httpx.Client, url: str, part: Path, label: str, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    response = _open(client, url, {"Range": f"bytes={have}-"} if have else {})
    try:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # already whole, or not this file: the digest tells
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise UnavailableError(f"{url} answered {response.status_code} {response.reason_phrase}")
        if response.status_code == httpx.codes.OK:
            have = 0  # no ranges here, or nothing to go on from: from the start
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as target:
            progress.step(label, have, total, "bytes")
            for block in response.iter_raw():
                target.write(block)
                have += len(block)
                progress.step(label, have, total, "bytes")
    finally:
        response.close()


def _open(client: httpx.Client, url: str, headers: dict[str, str]) -> httpx.Response:
    """The response, its body not yet read. UnavailableError, remembered, when nothing answers within ANSWER_SECONDS."""
    answer: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(client.send(client.build_request("GET", url, headers=headers), stream=True))
        except Exception as error:
            answer.put(error)

    # A thread, because looking up a name where no name server answers blocks for half a minute and cannot be stopped.
    threading.Thread(target=ask, daemon=True).start()
    host = httpx.URL(url).host
    try:
        response = answer.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        _unreachable[host] = f"{host} did not answer within {ANSWER_SECONDS:.0f} s"
        raise UnavailableError(_unreachable[host]) from None
    if isinstance(response, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        _unreachable[host] = f"{host} cannot be reached: {_said(response)}"
        raise UnavailableError(_unreachable[host]) from response
    if isinstance(response, Exception):
        raise response
    return response


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
