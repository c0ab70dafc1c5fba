"""--budget: the rate changes while the program runs, the reports say when, and estimates stay true."""

import pytest
from conftest import memtap, run

# Allocates in a way that is the same each time until it has had a second of processor time and a half, and keeps books.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static double used(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
__attribute__((noinline)) static void *allocate(unsigned depth, size_t size)
{
    volatile char pad[64];
    pad[0] = (char)depth;
    void *block = depth == 0 ? malloc(size) : allocate(depth - 1, size);
    pad[1] = pad[0];
    return block;
}
int main(void)
{
    unsigned long long bytes = 0, count = 0, random = 1;
    while (used() < 1.5) {
        for (unsigned i = 0; i < 2000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t size = 16 + (random >> 33) % 8192;
            void *block = allocate(i % 40, size);
            bytes += size;
            count++;
            free(block);
        }
    }
    printf("%llu %llu\n", bytes, count);
    return 0;
}
"""
SIGMAS = 5.5  # false alarm: 1e-6 a test; of hundreds of samples in each window the variance is an estimate as well


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("budget")
    (folder / "churn.c").write_text(PROGRAM)
    assert run(["cc", "-O1", folder / "churn.c", "-o", folder / "churn"]).returncode == 0
    return folder / "churn"


def check_books(recording):
    """Totals are estimates with a 95 % interval; the program knows them."""
    known = dict(zip(("total_allocated_bytes", "allocations"), map(int, recording.stdout.split())))
    stats = recording.stats
    for key, value in known.items():
        assert abs(stats[key] - value) <= stats[f"{key}_ci95"] / 1.96 * SIGMAS, (key, value, stats[key], stats["rates"])


def test_a_small_budget_makes_samples_rare_and_estimates_stay_true(record, program):
    """At 4 KiB more than half of all blocks are samples: the first windows of 250 ms show that this is more than 2 %."""
    recording = record(program, mode="sample", options=["--rate", "4K", "--budget", "2%"])
    rates = recording.stats["rates"]
    assert rates[0] == {"time_s": 0, "rate_bytes": 4096}
    assert len(rates) > 1 and rates[1]["rate_bytes"] > 4096
    assert [rate["time_s"] for rate in rates] == sorted(rate["time_s"] for rate in rates)
    assert rates[-1]["time_s"] <= recording.stats["duration_s"]
    check_books(recording)


def test_a_large_budget_takes_more_samples(record, program):
    """A sample in 10 MiB costs next to nothing."""
    recording = record(program, mode="sample", options=["--rate", "10M", "--budget", "50 %"])
    rates = [rate["rate_bytes"] for rate in recording.stats["rates"]]
    assert len(rates) > 1 and min(rates) < 10 << 20
    check_books(recording)


def test_without_a_budget_the_rate_stays(record, program):
    recording = record(program, mode="sample", options=["--rate", "256K"])
    assert recording.stats["rates"] == [{"time_s": 0, "rate_bytes": 262144}]
    check_books(recording)


@pytest.mark.parametrize("budget", ["0", "", "-1", "101", "1.5.2", "much", "0.00001"])
def test_what_is_no_budget_is_refused(budget):
    result = memtap("run", "--mode", "sample", "--budget", budget, "true", check=False)
    assert result.returncode == 2
    assert "--budget" in result.stderr.decode() and "1%" in result.stderr.decode()


def test_a_budget_of_exact_mode_is_refused():
    result = memtap("run", "--budget", "1%", "true", check=False)
    assert result.returncode == 2
    assert "--mode sample" in result.stderr.decode()
