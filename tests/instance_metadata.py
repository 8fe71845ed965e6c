"""Serve what a worker asks of its host: EC2's instance metadata, as IMDSv2 does, and its task role's credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CREDENTIALS = "/credentials"
_TOKEN = "metadata-token"


class _Handler(BaseHTTPRequestHandler):
    """Answer with the host's address and id, and never without a token."""

    address: str
    instance_id: str

    def do_PUT(self) -> None:
        ok = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._send(200 if ok else 400, _TOKEN)

    def do_GET(self) -> None:
        if self.path == CREDENTIALS:
            keys = {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "test"}  # those of the embedded AWS
            self._send(200, json.dumps(keys))
        elif self.headers["X-aws-ec2-metadata-token"] != _TOKEN:
            self._send(401, "")
        elif self.path == "/latest/meta-data/local-ipv4":
            self._send(200, self.address)
        elif self.path == "/latest/meta-data/instance-id":
            self._send(200, self.instance_id)
        else:
            self._send(404, "<html>")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def serving(address: str, instance_id: str) -> Iterator[str]:
    """Yield the base URL of the metadata service of a host."""
    handler = type("Handler", (_Handler,), {"address": address, "instance_id": instance_id})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
