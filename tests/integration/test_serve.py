"""`memtap serve` over real HTTP: who may ask, what is answered, and that it is what the commands say."""

import json
import os
import socket
import subprocess
import sys
import zlib

import pytest

from conftest import MEMTAP, memtap, memtap_json
from served import Server, basic, serve, server, until  # noqa: F401 - fixtures

TOKEN = "a-token-of-tests"
PROGRAM = """
import json
kept = {}
def handle(number):
    kept[number] = bytearray(3000)
    return json.dumps(list(range(20)))
for number in range(500):
    handle(number)
"""
GROWING = """
import os, sys
kept = []
def keep():
    kept.append(bytearray(1 << 20))
keep()
print(os.getpid(), flush=True)
for line in sys.stdin:
    keep()
    print("more", flush=True)
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    (folder / "program.py").write_text(PROGRAM)
    memtap("run", "-q", "-o", folder / "program.mtap", folder / "program.py")
    return folder / "program.mtap"


@pytest.fixture(scope="module")
def guarded(trace, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("socket") / "s")
    served = Server(trace, token=TOKEN, listen=("127.0.0.1:0", f"unix:{path}"))
    yield served
    served.stop()


# ---- what is served ----------------------------------------------------------------------------------------------------


def test_health_and_ready(server):
    assert server.ask("/health").json["status"] == "ok"
    assert server.ask("/ready").json == {"status": "ready"}
    (target,) = server.ask("/targets").json["targets"]
    assert target["name"] == "program.mtap" and target["there"] is True


def test_the_data_of_the_page_is_that_of_flamegraph(server, trace):
    reply = server.ask("/page/block?target=0")
    block = json.loads(zlib.decompress(reply.body, -15))
    stats = memtap_json("stats", trace)
    assert block["format"] == 1 and reply.headers["X-Memtap-Version"] == "1"
    for measure, name in (("peak", "peak_bytes"), ("live", "leaked_bytes"), ("total", "total_allocated_bytes")):
        assert sum(block["measures"][measure]["bytes"]) == stats[name]
    assert server.ask("/page/block?target=0").headers["X-Memtap-Version"] == "1"  # made once


def test_the_page_may_talk_to_its_server_alone(server):
    reply = server.ask("/")
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; frame-ancestors 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and b"@MEMTAP-DATA@" not in reply.body
    assert reply.body == server.ask("/index.html").body


def test_queries_have_the_envelope_that_was_asked_for(server, trace):
    wanted = memtap_json("query", trace, "SELECT line, bytes FROM leaks LIMIT 5")
    rows = server.sql("SELECT line, bytes FROM leaks LIMIT 5")
    assert rows == [(row["line"], row["bytes"]) for row in wanted]
    asked = {"version": {"major": 0, "minor": 1, "patch": 0}, "message_id": 7, "timestamp": 1,
             "payload": {"expr": "SELECT 1 AS a, 2.5 AS b, 'x' AS c, NULL AS d", "opts": None}}
    reply = server.post("/query", asked)
    assert reply.status == 200 and reply.json["message_id"] == 7 and reply.json["version"] == asked["version"]
    assert reply.json["payload"] == {"DataFrame": {"names": ["a", "b", "c", "d"],
                                                   "cols": [{"SeqI64": [1]}, {"SeqF64": [2.5]}, {"SeqText": ["x"]}, {"SeqText": [None]}], "size": 1}}
    limited = server.post("/query/dto", {"expr": "SELECT 1 AS value UNION ALL SELECT 2.5 UNION ALL SELECT 3", "opts": {"limit": 2}}).json
    assert limited["success"] is True and limited["payload"]["value"] == {"names": ["value"], "cols": [{"SeqF64": [1.0, 2.5]}], "size": 2}


@pytest.mark.parametrize("sql", ["SELECT nothing FROM leaks", "DELETE FROM memory.sites", "ATTACH 'x' AS y", "SELECT 1; SELECT 2", ""])
def test_a_wrong_query_is_said_to_be_wrong(server, sql):
    for path, body in (("/query", {"payload": {"expr": sql, "opts": None}}), ("/query/dto", {"expr": sql})):
        reply = server.post(path, body)
        assert reply.status == 400 and reply.json["detail"]
    assert reply.json["success"] is False and reply.json["payload"]["type"] == "Error"


@pytest.mark.parametrize("body", ["", "[]", "{", '{"expr": 1}', '{"expr": "SELECT 1", "opts": {"limit": -1}}', "nonsense", "[" * 5000, '"\\ud800"'])
def test_a_body_that_is_no_question_is_refused(server, body):
    reply = server.ask("/query/dto", "POST", body)
    assert reply.status == 400 and reply.json["detail"]


# ---- bad requests --------------------------------------------------------------------------------------------------------


def test_paths_methods_and_arguments_that_are_not_there(server):
    for path in ("/nothing", "/../../etc/passwd", "/%2e%2e/x", "/page", "//health", "/health/"):
        assert server.ask(path).status == 404, path
    wrong = server.ask("/query", "PUT", "{}")
    assert wrong.status == 405 and wrong.headers["Allow"] == "POST"
    assert server.ask("/health?x=1").status == 400
    assert server.ask("/page/block?target=9").status == 404
    assert server.ask("/page/block?target=nobody").status == 404


def test_sizes_have_limits(server):
    large = server.ask("/query/dto", "POST", "x" * 100_000)
    assert large.status == 413 and "65536" in large.json["detail"]
    chunked = b"POST /query/dto HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    said = server.raw(chunked + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 4 + b"0\r\n\r\n")
    assert b" 413 " in said.split(b"\r\n")[0], said[:200]
    headers = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 500) for i in range(200))
    said = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
    first = said.split(b"\r\n")[0]
    assert first == b"" or b" 431 " in first or b" 413 " in first, said[:200]
    assert server.ask("/health").status == 200


def test_bytes_that_are_no_http_end_their_connection_alone(server):
    for garbage in (b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe\xfd\r\n\r\n", b"POST /query HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        server.raw(garbage)
    assert server.ask("/health").status == 200


def test_those_who_dawdle_keep_nobody_waiting(server):
    """A hundred half questions, and the next one is answered; a byte now and then does not hold a connection for ever."""
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
    assert server.ask("/health").status == 200
    assert len(server.sql("SELECT * FROM leaks LIMIT 1")) == 1
    first = slow[0]
    first.settimeout(0.2)

    def is_gone():
        try:
            first.sendall(b"a")
            return first.recv(100) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    until(is_gone, "a slow client is sent away")
    for connection in slow:
        connection.close()


# ---- who may ask -------------------------------------------------------------------------------------------------------


def test_a_token_in_each_of_its_places(guarded):
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"authorization": f"bearer {TOKEN}"}, {"X-Memtap-Token": TOKEN}, basic(TOKEN),
                    {"Cookie": f"a=b; authToken={TOKEN}"}):
        assert guarded.ask("/targets", headers=headers).status == 200, headers


def test_without_the_token_nothing_is_told(guarded):
    wrong = [{}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Bearer {TOKEN[:-1]}"},
             {"Authorization": f"Digest {TOKEN}"}, {"Authorization": "Basic !!!"}, basic("wrong"), {"X-Memtap-Token": ""},
             {"Cookie": "authToken="}, {"Authorization": "Basic " + "A" * 4000}]
    for headers in wrong:
        for path in ("/", "/targets", "/page/block", "/nothing", "/events"):
            reply = guarded.ask(path, headers=headers)
            assert reply.status == 401 and reply.headers["WWW-Authenticate"].startswith("Basic ") and reply.json["detail"], (path, headers)
    assert guarded.ask(f"/targets?token={TOKEN}").status == 401
    assert guarded.ask("/health").status == guarded.ask("/ready").status == 200


def test_a_name_that_leads_here_is_not_enough(server, guarded):
    """DNS rebinding: a page of another site whose name was made to lead to loopback."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "localhost:x"):
        assert server.ask("/targets", headers={"Host": host}).status in (400, 403), host
    for host in ("localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST:7070"):
        assert server.ask("/targets", headers={"Host": host}).status == 200, host
    assert guarded.ask("/targets", headers={"Host": "memtap.example", "X-Memtap-Token": TOKEN}).status == 200


def test_a_page_of_another_site_may_not_ask(server, guarded):
    own = f"http://127.0.0.1:{server.port}"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", own + ".evil.example"):
        assert server.ask("/query/dto", "POST", '{"expr": "SELECT 1"}', {"Origin": origin}).status == 403, origin
        assert guarded.ask("/targets", headers={"Origin": origin, "X-Memtap-Token": TOKEN}).status == 403
    assert server.ask("/query/dto", "POST", '{"expr": "SELECT 1"}', {"Origin": own}).status == 200
    assert server.ask("/targets", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status == 403
    assert server.ask("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status == 200


def test_a_unix_socket_is_its_users(guarded):
    path = guarded.urls[1][len("unix:"):]
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert guarded.ask("/health", which=1).status == 200
    assert guarded.ask("/targets", which=1).status == 401
    assert guarded.ask("/targets", headers={"X-Memtap-Token": TOKEN}, which=1).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_at_a_socket(serve, trace, tmp_path):
    path = tmp_path / "s"
    server = serve(trace, listen=(f"unix:{path}",))
    path.chmod(0o666)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    script = (f"import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); "
              "s.sendall(b'GET /health HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'); print(s.recv(100).split()[1].decode())")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "403\n"
    assert server.ask("/health").status == 200


def refused(*arguments, code=2, **environment):
    clean = {key: value for key, value in os.environ.items() if key != "MEMTAP_TOKEN"}
    done = subprocess.run([MEMTAP, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=240, env={**clean, **environment})
    assert done.returncode == code and done.stdout == ""
    return done.stderr


def test_what_cannot_be_served_is_refused_at_once(trace, tmp_path):
    assert "needs a token" in refused("--listen", "0.0.0.0:0", trace)
    assert "needs a token" in refused("--listen", "[::]:0", trace)
    assert "no address" in refused("--listen", "nonsense", trace)
    assert "path from / on" in refused("--listen", "unix:s", trace)
    assert "less than 8 bytes" in refused(trace, MEMTAP_TOKEN="short")
    assert "there is no file" in refused(tmp_path / "nothing.mtap")
    assert "process 1 is not recorded" in refused("1")
    (tmp_path / "no.mtap").write_text("this is no trace")
    assert "no.mtap: it is not a memtap trace" in refused(tmp_path / "no.mtap", code=1)


def test_a_token_from_a_file(serve, trace, tmp_path):
    (tmp_path / "token").write_text("from-a-file\nsecond line\n")
    server = serve("--token-file", tmp_path / "token", trace)
    assert server.ask("/targets", headers={"Authorization": "Bearer from-a-file"}).status == 200
    assert server.ask("/targets").status == 401


def test_a_socket_that_nobody_answers_at_is_replaced(serve, trace, tmp_path):
    path = tmp_path / "s"
    serve(trace, listen=(f"unix:{path}",)).stop()
    assert path.exists()
    assert serve(trace, listen=(f"unix:{path}",)).ask("/health").status == 200
    done = subprocess.run([MEMTAP, "serve", "--listen", f"unix:{path}", trace], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "in use" in done.stderr


def test_only_a_socket_is_replaced(trace, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "loose").symlink_to(tmp_path / "nothing")
    for name in ("kept", "link", "loose"):
        assert "no socket of this user" in refused("--listen", f"unix:{tmp_path / name}", trace)
    assert kept.read_text() == "mine" and (tmp_path / "link").is_symlink() and (tmp_path / "loose").is_symlink()


@pytest.fixture(scope="module")
def many(trace, tmp_path_factory):
    """One more than can be served."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(65):
        os.link(trace, folder / f"{number:02}.mtap")
    return folder


def test_too_many_traces_are_refused(many):
    assert "at most 64 traces" in refused(*sorted(many.iterdir()))


def test_those_of_a_folder_that_are_too_many_are_left_out_and_named(many, trace):
    done = subprocess.Popen([MEMTAP, "serve", "--listen", "127.0.0.1:0", many], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    said = ""
    while "serving at" not in said:
        said += (line := done.stderr.readline())
        assert line, said
    done.kill()
    done.wait()
    done.stderr.close()
    assert said.count("at most 64 traces are served") == 1 and "64.mtap" in said


# ---- what grows ----------------------------------------------------------------------------------------------------------


class Growing:
    """A recorded program that keeps a MiB more each time it is told to."""

    def __init__(self, folder):
        self.trace = folder / "growing.mtap"
        (folder / "growing.py").write_text(GROWING)
        self.process = subprocess.Popen([MEMTAP, "run", "-q", "-o", self.trace, folder / "growing.py"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline())

    def grow(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "more\n"

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(240) == 0
        self.process.stdout.close()


@pytest.fixture
def growing(tmp_path):
    one = Growing(tmp_path)
    yield one
    one.process.kill()
    one.process.wait()


LARGE = "SELECT count(*) AS n FROM memory.allocations WHERE size_bytes >= 1048576 AND size_bytes < 1100000"


def test_a_process_is_served_while_it_runs_and_afterwards(growing, serve):
    server = serve(growing.pid)
    until(lambda: server.sql(LARGE) == [(1,)], "the first MiB is there")
    growing.grow()
    until(lambda: server.sql(LARGE) == [(2,)], "the second MiB is there")
    growing.end()
    assert server.sql(LARGE) == [(2,)]


def test_viewers_hear_of_what_is_new(growing, serve):
    """Two of them; the data is made once for both."""
    server = serve(growing.trace)
    viewers = [server.connect() for _ in range(2)]
    replies = []
    for viewer in viewers:
        viewer.request("GET", "/events")
        replies.append(viewer.getresponse())
        assert replies[-1].headers["Content-Type"] == "text/event-stream"

    def next_version(reply):
        while True:
            line = reply.readline()
            assert line, "the events ended"
            if line.startswith(b"data: "):
                return json.loads(line[len(b"data: "):])["version"]

    def live():
        block = json.loads(zlib.decompress(server.ask("/page/block").body, -15))
        return sum(block["measures"]["live"]["bytes"])

    first = [next_version(reply) for reply in replies]
    before = live()
    growing.grow()
    until(lambda: live() >= before + (1 << 20), "the data has what was allocated")
    later = [next_version(reply) for reply in replies]
    assert all(after > before for before, after in zip(first, later))
    for viewer in viewers:
        viewer.close()


def test_a_folder_serves_what_comes_into_it(serve, trace, tmp_path):
    server = serve(tmp_path)
    assert server.ask("/ready").status == 503
    assert server.ask("/page/block").status == 404
    os.link(trace, tmp_path / "new.mtap")
    until(lambda: server.ask("/ready").status == 200, "the new trace is found")
    assert server.sql("SELECT count(*) > 0 AS some FROM memory.sites") == [(1,)]


def test_a_trace_that_is_gone_gives_its_place_to_another_one(serve, trace, tmp_path):
    """With a number of its own: no viewer of the one is shown the other. The rest keep theirs."""
    for number in range(64):
        os.link(trace, tmp_path / f"{number:02}.mtap")
    server = serve(tmp_path)
    os.link(trace, tmp_path / "64.mtap")

    def numbers():
        return {target["name"]: target["target"] for target in server.ask("/targets").json["targets"]}

    before = numbers()
    assert len(before) == 64 and "64.mtap" not in before and before["05.mtap"] == 5
    block = server.ask("/page/block?target=5").body
    (tmp_path / "05.mtap").unlink()
    until(lambda: "64.mtap" in numbers(), "the one that was left out is served")
    assert numbers() == {**{name: number for name, number in before.items() if number != 5}, "64.mtap": 69}
    assert server.ask("/page/block?target=69").body == block
    assert server.ask("/page/block?target=5").status == 404
    (tmp_path / "64.mtap").unlink()
    os.link(trace, tmp_path / "65.mtap")
    until(lambda: numbers().get("65.mtap") == 133, "and so on")
