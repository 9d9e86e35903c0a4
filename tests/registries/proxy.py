"""A proxy that knows CONNECT, and prints where it was asked to go."""

from __future__ import annotations

import select
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        print("CONNECT", self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), 5) as other:
            self.send_response(200)
            self.end_headers()
            while ready := select.select([self.connection, other], [], [], 60)[0]:
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (other if one is self.connection else self.connection).sendall(data)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Proxy).serve_forever()
