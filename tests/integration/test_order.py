"""The order of events of several threads: random programs hand blocks over and keep books; the peak is theirs to the byte."""

import pytest

import orders


@pytest.mark.parametrize("options", [[], ["--aggregate"]])
def test_peaks_of_random_programs_of_threads(options, tmp_path):
    runs = 10 if options else 40
    assert orders.failures(orders.c_programs(runs, orders.SEED), tmp_path, *options) == []


def test_peaks_of_random_programs_of_python_threads(any_python, tmp_path):
    assert orders.failures(orders.python_programs(any_python, 10, orders.SEED), tmp_path) == []
