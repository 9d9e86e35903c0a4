"""Asks every 100 ms, and writes a line for each request; runs on a lab host with nothing but its Python.

client.py api URL DIRECTORY   writes a ConfigMap and reads it back; DIRECTORY holds ca.crt, client.crt and client.key
client.py service URL         asks a Service, whether earlier requests were answered or not

Each line is a list in JSON: when the request ended (seconds since 1970), what it was, how long it took (seconds), and
what went wrong (null: nothing), and whether the server had it asked once more before.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

PERIOD = 0.1
API_TIMEOUT = 5
SERVICE_TIMEOUT = 2
# One a period for as long as each may take, and some.
AT_ONCE = 40
PATH = "/api/v1/namespaces/traffic/configmaps/traffic"

one_line_at_a_time = threading.Lock()


def note(what: str, request: Callable[[], bool]) -> None:
    """Make a request, which tells whether it was asked once more, and write its line."""
    begin, wrong, again = time.time(), None, False
    try:
        again = request()
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    end = time.time()
    with one_line_at_a_time:
        print(json.dumps([round(end, 3), what, round(end - begin, 3), wrong, again]), flush=True)


def ticks() -> Iterator[int]:
    """1, 2, 3 … every period; those that a slow request took the time of are left out."""
    begin, number = time.monotonic(), 0
    while True:
        number = max(number + 1, int((time.monotonic() - begin) / PERIOD))
        time.sleep(max(0.0, begin + number * PERIOD - time.monotonic()))
        yield number


class LaterError(Exception):
    """The server asks to be asked again, `seconds` later."""

    def __init__(self, said: str, seconds: int) -> None:
        super().__init__(said)
        self.seconds = seconds


class API:
    """Writes come each by a connection of its own, like a command's. Reads share one, like a service's.

    What Kubernetes' own clients ask once more is asked once more here, by a new connection: reads on a connection that
    the server closed before it answered, and whatever a server answers with a Retry-After, as one does that stops.
    """

    def __init__(self, url: str, directory: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address = (str(parts.hostname), parts.port or 443)
        self._context = ssl.create_default_context(cafile=f"{directory}/ca.crt")
        self._context.load_cert_chain(f"{directory}/client.crt", f"{directory}/client.key")
        self._kept: http.client.HTTPSConnection | None = None
        self._written = 0

    def write(self, number: int) -> bool:
        again = False
        try:
            self._write(number)
        except LaterError as later:
            again = True
            time.sleep(later.seconds)
            self._write(number)
        self._written = number
        return again

    def read(self) -> bool:
        kept, again = self._kept, False
        try:
            found = self._read(kept or self._connect())
        except LaterError as later:
            again = True
            time.sleep(later.seconds)
            found = self._read(self._connect())
        except (ConnectionError, ssl.SSLZeroReturnError, http.client.BadStatusLine):
            if kept is None:
                raise
            found = self._read(self._connect())
        # A write that failed may have come through all the same: what is read may be newer, and never older.
        if found < self._written:
            raise ValueError(f"read {found} after {self._written} was written")
        return again

    def _write(self, number: int) -> None:
        metadata = {"name": "traffic", "namespace": "traffic"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}
        connection = self._connect()
        try:
            self._ask(connection, "PUT", json.dumps(body))
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = self._address
        return http.client.HTTPSConnection(host, port, timeout=API_TIMEOUT, context=self._context)

    def _read(self, connection: http.client.HTTPSConnection) -> int:
        self._kept = None
        try:
            answer = self._ask(connection, "GET")
        except BaseException:
            connection.close()
            raise
        self._kept = connection
        return int(json.loads(answer)["data"]["number"])

    @staticmethod
    def _ask(connection: http.client.HTTPSConnection, method: str, body: str | None = None) -> bytes:
        connection.request(method, PATH, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            said = f"{response.status} {answer[:200].decode(errors='replace')}"
            after = response.getheader("Retry-After", "")
            raise LaterError(said, int(after)) if after.isdigit() else ValueError(said)
        return answer


def ask_api(url: str, directory: str) -> None:
    api = API(url, directory)
    for number in ticks():
        note("write", lambda number=number: api.write(number))  # type: ignore[misc]
        note("read", api.read)


def ask_service(url: str) -> None:
    # Neither a proxy of the environment nor a connection that is kept.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask() -> bool:
        with opener.open(url, timeout=SERVICE_TIMEOUT) as response:
            response.read()
        return False

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in ticks():
            pool.submit(note, "service", ask)


if __name__ == "__main__":
    if sys.argv[1] == "api":
        ask_api(*sys.argv[2:])
    else:
        ask_service(*sys.argv[2:])
