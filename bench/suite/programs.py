"""Native programs: the sqlite3 shell, gcc's compiler proper, redis-server under redis-benchmark."""

import os
import signal
import socket
import subprocess
import time

from . import core, env, measure, peers

REQUESTS = 150_000
TESTS = "set,get,lpush,lpop,sadd,hset"


def _configs():
    return [peers.plain(), peers.plain("plain again"), peers.memtap_sample(), peers.memtap_exact(),
            peers.tcmalloc(), peers.tcmalloc_sample(), peers.jemalloc(), peers.jemalloc_sample(),
            peers.heaptrack_raw(), peers.heaptrack()]


def _run_sqlite(config):
    script = env.generated("sql", 60_000)
    work = peers.Work([env.command("sqlite3", "sqlite3"), ":memory:"], stdin=str(script))
    return core.run_work(config, work, expect_bench=False)


def _run_cc1(config):
    source = env.generated("c", 130)
    work = peers.Work([env.cc1(), "-quiet", "-O1", str(source), "-o", "/dev/null"])
    return core.run_work(config, work, expect_bench=False)


class Redis:
    """One redis-server on a unix socket under one configuration, and the few commands the bench sends to it."""

    def __init__(self, config):
        self.socket_path = env.SCRATCH / "redis.sock"
        self.log = env.SCRATCH / "redis.log"
        self.socket_path.unlink(missing_ok=True)
        stem = peers.out_stem("redis")
        measure.clear(f"{stem.name}.*")
        server = [env.command("redis-server", "redis-server"), "--port", "0", "--unixsocket", str(self.socket_path),
                  "--save", "", "--appendonly", "no", "--dir", str(env.SCRATCH)]
        argv, extra = config.wrap(peers.Work(server), stem)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, env={**os.environ, **extra}, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def ask(self, *words):
        """Sends one command, returns the raw reply of up to 64 KiB."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket_path))
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(65536).decode(errors="replace")

    def wait_ready(self):
        """Returns when the server answers; raises Failed when it does not within 20 s."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if "PONG" in self.ask("PING"):
                    return
            except OSError:
                time.sleep(0.02)  # the server is starting; nothing else tells when its socket is there
        raise measure.Failed(f"redis-server did not start: {self.log.read_text(errors='replace')[-300:]}")

    def cpu_s(self):
        """User + system time of the server so far, from its own getrusage (microseconds)."""
        fields = dict(line.split(":", 1) for line in self.ask("INFO", "cpu").splitlines() if ":" in line)
        return float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"])

    def resident_kib(self):
        """Peak resident size of the server process."""
        fields = dict(line.split(":", 1) for line in self.ask("INFO", "server").splitlines() if ":" in line)
        with open(f"/proc/{fields['process_id'].strip()}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

    def stop(self):
        """Ends the server; kills its session when it does not go."""
        try:
            self.ask("SHUTDOWN", "NOSAVE")
        except OSError:
            pass
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _load(server, requests):
    tool = env.command("redis-benchmark", "redis-tools")
    subprocess.run([tool, "-s", str(server.socket_path), "-t", TESTS, "-n", str(requests), "-c", "20", "-P", "8",
                    "-r", "10000", "-d", "64", "-q"], stdout=subprocess.DEVNULL, check=True, timeout=120)


def _run_redis(config):
    server = Redis(config)
    try:
        server.wait_ready()
        _load(server, 2000)
        before = server.cpu_s()
        _load(server, REQUESTS)
        spent = server.cpu_s() - before
        return {"us_per_request": spent * 1e6 / (REQUESTS * (TESTS.count(",") + 1)), "maxrss_kib": server.resident_kib()}
    finally:
        server.stop()


def _redis_bars(result):
    return [result.ratio_bar("redis", "sample mode on redis, CPU a request", "memtap sample", "us_per_request", 1.03)]


def benches():
    """sqlite, cc1 and redis, each in sample and exact mode with every native peer."""
    group = "native programs"
    extra = ("wall_s", "maxrss_kib", "capture_bytes")
    redis_configs = [config for config in _configs() if config.name not in ("jemalloc", "heaptrack")]
    return [
        core.Bench("sqlite", group, "sqlite3 shell, 60,000 rows", _configs(), "cpu_s", "s", _run_sqlite, extra=extra),
        core.Bench("cc1", group, "gcc's cc1 -O1 on 130 generated units", _configs(), "cpu_s", "s", _run_cc1, extra=extra),
        core.Bench("redis", group, "redis-server (linked with jemalloc), CPU a request", redis_configs, "us_per_request", "us",
                   _run_redis, _redis_bars, extra=("maxrss_kib",)),
    ]
