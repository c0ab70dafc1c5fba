"""A `memtap serve` for tests, and what asks it: plain HTTP by the standard library."""

import base64
import errno
import http.client
import json
import os
import re
import select
import socket
import subprocess
import time

import pytest
from conftest import MEMTAP

WAIT_S = 240


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=WAIT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(self.path)


class Server:
    """Runs until stop(); listens at a free port of loopback unless told otherwise."""

    def __init__(self, *arguments, token=None, listen=("127.0.0.1:0",), cwd=None, env=None):
        environment = {**os.environ, **(env or {})}
        environment.pop("MEMTAP_TOKEN", None)
        if token is not None:
            environment["MEMTAP_TOKEN"] = token
        options = [word for address in listen for word in ("--listen", address)]
        self.process = subprocess.Popen([str(MEMTAP), "serve", *options, *map(str, arguments)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        cwd=cwd, env=environment)
        self.urls = [self._address() for _ in listen]

    def _address(self):
        line = self._line()
        found = re.search(r"serving at (\S+?)/?(?: with a token)?; Ctrl-C", line)
        assert found, line
        return found.group(1)

    def _line(self):
        text = b""
        end = time.monotonic() + WAIT_S
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stderr], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the server said nothing more than {text!r}"
            byte = os.read(self.process.stderr.fileno(), 1)
            assert byte, f"the server ended: {text!r}"
            text += byte
        return text.decode()

    @property
    def url(self):
        return self.urls[0]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def connect(self, which=0):
        url = self.urls[which]
        if url.startswith("unix:"):
            return UnixConnection(url[len("unix:"):])
        return http.client.HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]), timeout=WAIT_S)

    def ask(self, path, method="GET", body=None, headers=None, which=0):
        connection = self.connect(which)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def post(self, path, value, headers=None):
        return self.ask(path, "POST", json.dumps(value), {"Content-Type": "application/json", **(headers or {})})

    def sql(self, text, target=0):
        """Rows as tuples."""
        reply = self.post(f"/query/dto?target={target}", {"expr": text, "opts": None})
        assert reply.status == 200, reply.body
        frame = reply.json["payload"]["value"]
        columns = [next(iter(column.values())) for column in frame["cols"]]
        return [tuple(column[row] for column in columns) for row in range(frame["size"])]

    def raw(self, request):
        """All that arrives of what the server says to these bytes until it closes the connection; one that it closes with bytes unread
        may take its answer along."""
        said = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    said += part
            except OSError as error:
                assert error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), error
        return said

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def server(trace):
    """Serves the trace of the module that imports this."""
    served = Server(trace)
    yield served
    served.stop()


@pytest.fixture
def serve():
    """Starts servers, which end with the test."""
    servers = []

    def start(*arguments, **options):
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start
    for one in servers:
        one.stop()


def basic(password, user="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def until(condition, what):
    """Its first true value, within a bound that no machine that works needs."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        select.select([], [], [], 0.05)
    raise AssertionError(f"never: {what}")
