"""A Rust service whose global allocator is a crate inside its executable, beside the counts of that allocator's own wrapper."""

import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(params=["jemalloc", "mimalloc"])
def service(request, tmp_path_factory):
    """The service, built with this allocator (crates.io, and a C compiler for the crate)."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo")
    folder = tmp_path_factory.mktemp("rust")
    shutil.copytree(HERE / "rust", folder / "source")
    done = subprocess.run(["cargo", "build", "-q", "--release", "--features", request.param], cwd=folder / "source", check=False,
                          capture_output=True, text=True, env={**os.environ, "CARGO_TARGET_DIR": str(folder / "target")})
    if done.returncode != 0:
        pytest.skip(f"cargo cannot build it: {done.stderr.splitlines()[-1:]}")
    return folder / "target/release/own-allocator"


def talk(port, lines):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s, s.makefile("rw") as file:
        for n in range(lines):
            file.write(f"line {n}\n")
            file.flush()
            assert int(file.readline()) == 50 * len(f"line {n}")


def test_an_allocator_inside_the_executable(server, service):
    """Four connections of 500 lines: the service's own counts are what is recorded, but for what its runtime asks malloc for."""
    run = server([service], count=False)
    run.wait_for_log("port ")
    port = int(re.search(r"port (\d+)", run.text())[1])
    for _ in range(4):
        talk(port, 500)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"end\n")
    assert run.end(None) == 0, run.text()
    allocations, size, frees = map(int, re.search(r"own (\d+) (\d+) (\d+)", run.text()).groups())
    stats = run.stats()
    print(f"own {allocations} allocations of {size} bytes, {frees} frees; recorded {stats['allocations']}, "
          f"{stats['total_allocated_bytes']}, {stats['deallocations']}; {stats['by_allocator']}")
    assert allocations <= stats["allocations"] <= allocations + 200
    assert size <= stats["total_allocated_bytes"] <= size * 1.01 + 100_000
    assert stats["dropped_events"] == 0
