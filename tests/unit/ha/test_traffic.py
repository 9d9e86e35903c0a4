"""The arithmetic of requests that failed and of the time in which none succeeded, and the client they come from."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.ha import client
from tests.ha.traffic import CLIENT, Request, Traffic, read_log, weigh


def good(end: float, what: str = "read", seconds: float = 0.01) -> Request:
    return Request(end, what, seconds, None)


def bad(end: float, wrong: str = "refused", what: str = "read") -> Request:
    return Request(end, what, 0.5, wrong)


def test_a_gap_is_from_success_to_success_whatever_failed_between() -> None:
    found = weigh([good(1), bad(2), bad(3, "timeout"), bad(4, "timeout"), good(5, seconds=0.7), good(6)], 0.5, 6.5)
    assert found == Traffic(6, 3, 4, 0.7, {"timeout": 2, "refused": 1})


@pytest.mark.parametrize(
    ("moments", "gap"), [([3, 4, 5], 3), ([1, 2], 4), ([], 6), ([0, 1, 2, 3, 4, 5, 6], 1)], ids=str
)
def test_the_time_before_the_first_success_and_after_the_last_counts(moments: list[float], gap: float) -> None:
    assert weigh(map(good, moments), 0, 6).longest_gap == gap


def test_reads_that_go_on_hide_no_write_that_cannot_be_made() -> None:
    reads = [good(moment) for moment in range(10)]
    writes = [good(0, "write"), good(1, "write"), bad(4, what="write"), good(8, "write"), good(9, "write")]
    assert weigh(reads + writes, 0, 9).longest_gap == 7
    assert weigh([*reads, good(-1, "write")], 0, 9).longest_gap == 9


def test_what_ended_before_and_after_is_left_out() -> None:
    assert weigh([bad(0), good(1), good(2), bad(9)], 0.5, 3) == Traffic(2, 0, 1, 0.01, {})


def test_what_was_asked_once_more_is_counted_and_did_not_fail() -> None:
    found = weigh([good(1), Request(2, "read", 1.1, None, again=True)], 0.5, 3)
    assert (found.requests, found.failures, found.asked_again) == (2, 0, 1)


def test_an_unfinished_line_is_no_request() -> None:
    text = '[1.5, "write", 0.02, null, true]\n[2.5, "read", 0.01, "ValueError: 500 [oops]", false]\n[3.5, "wri'
    assert read_log(text) == [
        Request(1.5, "write", 0.02, None, again=True),
        Request(2.5, "read", 0.01, "ValueError: 500 [oops]"),
    ]


class Sometimes(BaseHTTPRequestHandler):
    """Answers 503 to the second request."""

    count = 0

    def do_GET(self) -> None:
        Sometimes.count += 1
        self.send_response(503 if Sometimes.count == 2 else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_client_asks_ten_times_a_second_and_notes_what_failed() -> None:
    server = HTTPServer(("127.0.0.1", 0), Sometimes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/health"
    try:
        with subprocess.Popen([sys.executable, CLIENT, "service", url], stdout=subprocess.PIPE, text=True) as asking:
            assert asking.stdout
            lines = [asking.stdout.readline() for _ in range(6)]
            asking.kill()
    finally:
        server.shutdown()
        server.server_close()
    requests = read_log("".join(lines))
    found = weigh(requests, requests[0].end, time.time())
    assert (found.requests, found.failures) == (6, 1)
    assert "503" in next(iter(found.wrong))
    assert 0.3 < requests[-1].end - requests[0].end < 5


class Stops(BaseHTTPRequestHandler):
    """Asks once to be asked again, and knows the number 1 from then on."""

    answers = [503, 200, 200]  # noqa: RUF012 used up

    def do_GET(self) -> None:
        status = self.answers.pop(0)
        body = b'{"data": {"number": "1"}}'
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_what_a_server_that_stops_does_not_answer_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), Stops)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api = client.API.__new__(client.API)
    api._kept, api._written = None, 1
    monkeypatch.setattr(api, "_connect", lambda: http.client.HTTPConnection("127.0.0.1", server.server_port))
    try:
        assert api.read() is True
        Stops.answers = [200]
        assert api.read() is False
        Stops.answers = [503, 503]
        with pytest.raises(client.LaterError, match="503"):
            api.read()
        Stops.answers = [200]
        api._written = 2
        with pytest.raises(ValueError, match="read 1 after 2 was written"):
            api.read()
    finally:
        if api._kept:
            api._kept.close()
        server.shutdown()
        server.server_close()
