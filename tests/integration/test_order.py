"""The order of events of several threads and processes: random programs keep books; the peak is theirs to the byte."""

import pytest

import orders


@pytest.mark.parametrize("options", [[], ["--aggregate"]])
def test_peaks_of_random_programs_of_threads(options, tmp_path):
    runs = 10 if options else 40
    assert orders.failures(orders.c_programs(runs, orders.SEED), tmp_path, *options) == []


def test_peaks_of_random_programs_of_python_threads(any_python, tmp_path):
    assert orders.failures(orders.python_programs(any_python, 10, orders.SEED), tmp_path) == []


@pytest.fixture
def common_clock(record, target):
    if record(target("threads"), 4, 10, name="clock.mtap").stats["clock"] != "tsc":
        pytest.skip("no time stamp counter that processes could share")


def test_peaks_of_random_trees_of_processes(common_clock, tmp_path):
    assert orders.failures(orders.families(20, orders.SEED), tmp_path) == []


def test_peaks_of_pools_of_recycled_workers(common_clock, any_python, tmp_path):
    assert orders.failures(orders.pools(any_python, 3, orders.SEED), tmp_path) == []


def test_a_program_that_forbids_itself_the_counter(tmp_path):
    for command in orders.c_programs(10, orders.SEED + 1):
        assert orders.failure([*command, "no-tsc"], tmp_path, []) is None
    assert orders.said("stats", tmp_path / "order.mtap").split("clock")[1].split()[0] == "counter,"


def test_stats_say_what_orders_the_events(record, target):
    alone = record(target("empty"), name="alone.mtap").stats
    assert (alone["clock"], alone["clock_resolution_ns"]) == ("tick", 4_000_000)
    threaded = record(target("threads"), 4, 10).stats
    assert (threaded["clock"], threaded["clock_resolution_ns"]) in (("tsc", 8), ("tsc", 4_000_000), ("counter", 4_000_000))
