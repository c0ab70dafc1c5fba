"""nginx, PostgreSQL, redis, gunicorn with gevent, node and java: exact recordings of whole servers."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest
from conftest import assert_same, free_port, need

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to drop rights from")


@ROOT_ONLY
def test_nginx_whose_workers_drop_their_rights(server, tmp_path):
    """20,000 requests to two workers of www-data."""
    nginx, load = need("nginx", "nginx-light"), need("ab", "apache2-utils")
    port = free_port()
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("hello\n" * 1000)
    (tmp_path / "nginx.conf").write_text(textwrap.dedent(f"""\
        user www-data;
        daemon off;
        worker_processes 2;
        pid {tmp_path}/pid;
        error_log stderr;
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fcgi;
            uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;
            server {{ listen 127.0.0.1:{port}; root {tmp_path}/www; gzip on; gzip_types text/html; }}
        }}
        """))
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    run = server([nginx, "-c", tmp_path / "nginx.conf"])
    run.wait_for_port(port)
    done = subprocess.run([load, "-q", "-n", "20000", "-c", "8", "-H", "Accept-Encoding: gzip", f"http://127.0.0.1:{port}/index.html"],
                          capture_output=True, text=True, check=False)
    assert "Complete requests:      20000" in done.stdout, done.stdout + done.stderr
    assert run.end(signal.SIGQUIT) == 0
    stats = assert_same(run)
    assert stats["processes"] == 3 and stats["allocations"] > 20_000


@ROOT_ONLY
def test_postgres(server, tmp_path):
    """Ten clients of pgbench, every one with a process of its own."""
    postgres = need("postgres", "postgresql", "/usr/lib/postgresql/15/bin")
    real = "/usr/lib/postgresql/15/bin"
    if not os.path.exists(real + "/initdb"):
        pytest.skip(f"no PostgreSQL 15 in {real}")
    del postgres
    data, port = tmp_path / "data", free_port()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    data.mkdir()
    shutil.chown(data, "postgres")
    as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    subprocess.run([*as_user, real + "/initdb", "-A", "trust", "-D", data], check=True, capture_output=True)
    run = server([*as_user, real + "/postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data])
    run.wait_for_port(port)
    bench = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    subprocess.run([*bench, "-i", "-q", "postgres"], check=True, capture_output=True)
    subprocess.run([*bench, "-c", "10", "-t", "200", "postgres"], check=True, capture_output=True)
    assert run.end(signal.SIGTERM) == 0
    stats = assert_same(run, more=1000)  # setpriv's own, whose count ended with its exec
    assert stats["processes"] > 20


def test_gunicorn_with_recycled_gevent_workers(server, tmp_path, python_with):
    """Requests until six workers have come and gone; each leaves within a second after its fiftieth."""
    python, port = python_with("gunicorn", "gevent", "packaging"), free_port()
    (tmp_path / "app.py").write_text(textwrap.dedent("""\
        import os

        def app(environ, start):
            body = b"".join(b"%d" % n for n in range(2000))
            start("200 OK", [("Content-Length", str(len(body))), ("X-Pid", str(os.getpid()))])
            return [body]
        """))
    run = server([python, "-m", "gunicorn", "-w", "2", "-k", "gevent", "--max-requests", "50", "-b", f"127.0.0.1:{port}", "app:app"],
                 options=["--no-python-allocators"])  # else a realloc of Python's is counted as Python's
    run.wait_for_port(port)
    workers, end = set(), time.monotonic() + 120
    while len(workers) < 6 and time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert len(answer.read()) == 6890
            workers.add(answer.headers["X-Pid"])
    assert len(workers) == 6
    assert run.end(signal.SIGTERM) == 0
    stats = assert_same(run)
    assert stats["processes"] >= 6 + 1


def test_node(server, tmp_path):
    node = need("node", "nodejs")
    (tmp_path / "a.js").write_text("let kept = []; for (let i = 0; i < 200; i++) kept.push(Buffer.alloc(100000, 1));\n"
                                   "console.log(kept.length, process.memoryUsage().arrayBuffers > 2e7);\n")
    run = server([node, "a.js"])
    assert run.end(None) == 0
    assert "200 true" in run.text()
    stats = run.stats()
    assert stats["peak_bytes"] >= 20_000_000
    assert stats["peak_bytes"] < 1.5 * stats["rss_peak_bytes"]  # V8 reserves gigabytes


def test_java(server, tmp_path):
    java, javac = need("java", "openjdk-17-jdk-headless"), need("javac", "openjdk-17-jdk-headless")
    (tmp_path / "A.java").write_text(textwrap.dedent("""\
        public class A {
            public static void main(String[] a) throws Exception {
                java.nio.ByteBuffer[] kept = new java.nio.ByteBuffer[50];
                for (int i = 0; i < 50; i++) kept[i] = java.nio.ByteBuffer.allocateDirect(1 << 20);
                System.out.println("kept " + kept.length);
            }
        }
        """))
    subprocess.run([javac, "A.java"], cwd=tmp_path, check=True)
    run = server([java, "-Xms16m", "-Xmx256m", "-cp", tmp_path, "A"])
    assert run.end(None) == 0
    assert "kept 50" in run.text()
    stats = run.stats()
    assert stats["peak_bytes"] >= 50 << 20
    assert stats["peak_bytes"] < 2 * stats["rss_peak_bytes"]  # most of the heap of 256 MiB is reserved, not held


@pytest.fixture(scope="session")
def python_with(tmp_path_factory):
    """python_with(package, …): an interpreter that has them, in an environment beside the build."""
    made = {}

    def find(*packages):
        if packages not in made:
            folder = tmp_path_factory.mktemp("venv")
            folder.chmod(0o755)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            done = subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *packages], capture_output=True, text=True,
                                  check=False)
            if done.returncode != 0:
                pytest.skip(f"pip cannot install {packages}: {done.stderr.splitlines()[-1:]}")
            made[packages] = folder / "bin/python"
        return made[packages]

    return find


@pytest.mark.parametrize("code, packages", [
    ("import pyarrow as pa; kept = [pa.array(range(100_000)) for _ in range(40)]; print(sum(a.nbytes for a in kept))", ("pyarrow",)),
    ("import polars as pl; kept = [pl.Series(range(100_000)) for _ in range(40)]; print(sum(s.estimated_size() for s in kept))",
     ("polars",)),
])
def test_columns_of_pyarrow_and_polars(server, python_with, code, packages):
    """32 MB of columns out of a pool of the library's own."""
    run = server([python_with(*packages), "-c", code], count=False)
    assert run.end(None) == 0
    held = int(run.text().split()[0])
    assert held == 40 * 800_000
    assert run.stats()["peak_bytes"] >= held
