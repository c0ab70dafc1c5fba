"""A bench and the rounds of one: every round runs every configuration once, in random order.

What a bench is: a name, the configurations it compares, the metric its table shows, a function that runs one
configuration once, and the bars it is held to. A configuration that fails or is not installed is named in the results
with its reason and left out of the remaining rounds; it is never skipped in silence.
"""

import random
import sys
import time
from dataclasses import dataclass, field
from typing import Callable

from . import env, measure, peers, stats


@dataclass
class Bar:
    """A claim with its number: met when value <= limit (or >= where `at_least`)."""

    bench: str
    text: str
    value: float | None
    limit: float
    unit: str = ""
    at_least: bool = False
    fastest: float | None = None  # the same from the fastest round of each: what a busy machine disturbs least

    def met(self):
        """True, False, or None where there was nothing to judge."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Result:
    """The rows of a bench: per configuration one dict a round, or the reason why there are none."""

    rows: dict
    errors: dict = field(default_factory=dict)

    def ratio(self, config, key, base="plain"):
        """Median of the paired ratios of a configuration to a base, or None."""
        found = stats.ratio(self.rows.get(config, []), self.rows.get(base, []), key)
        return found["median"] if found else None

    def noise(self, key, base="plain"):
        """What this run cannot tell from 1 in a ratio: how far `plain again` was from `plain` in the middle round, and at least
        what any configuration seems to gain, as no profiler makes a program faster."""
        again = stats.distance(self.rows.get(f"{base} again", []), self.rows.get(base, []), key)
        found = [self.ratio(config, key, base) for config in self.rows]
        return max([again or 0.0, *(1 - ratio for ratio in found if ratio is not None)])

    def added(self, config, key, base="plain"):
        """Median of the paired differences, or None."""
        found = stats.added(self.rows.get(config, []), self.rows.get(base, []), key)
        return found["median"] if found else None

    def middle(self, config, key):
        """Median of one configuration's metric, or None."""
        return stats.middle(self.rows.get(config, []), key)

    def lowest(self, config, key):
        """Minimum of one configuration's metric, or None."""
        return stats.lowest(self.rows.get(config, []), key)

    def lowest_ratio(self, config, key, base="plain"):
        """Ratio of the fastest rounds, or None."""
        value, base_value = self.lowest(config, key), self.lowest(base, key)
        return value / base_value if value is not None and base_value else None

    def lowest_added(self, config, key, base="plain"):
        """Difference of the fastest rounds, or None."""
        value, base_value = self.lowest(config, key), self.lowest(base, key)
        return value - base_value if value is not None and base_value is not None else None

    def ratio_bar(self, bench, text, config, key, limit):
        """A bar on the ratio of a configuration to plain."""
        return Bar(bench, text, self.ratio(config, key), limit, "x", fastest=self.lowest_ratio(config, key))


@dataclass
class Bench:
    """One comparison. `run_one(config)` returns a dict of metrics; `bars(result)` a list of Bar."""

    name: str
    group: str
    title: str
    configs: list
    metric: str  # the key that the table shows
    unit: str
    run_one: Callable
    bars: Callable = lambda result: []
    base: str = "plain"
    extra: tuple = ()  # further keys worth a column
    prepare: Callable = lambda: None
    rounds: int | None = None  # at most, where more would tell nothing
    repeat: int = 1  # rounds are this many times as many, where one is cheap and nanoseconds are claimed


def _row(bench, config, number):
    started = time.monotonic()
    metrics = bench.run_one(config)
    return {"round": number, "seconds": time.monotonic() - started, **metrics}


def _progress(bench, number, rounds, config):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{bench.name}: round {number + 1}/{rounds}: {config.name}")
        sys.stderr.flush()


def _clear_progress():
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def _one_round(bench, generator, number, rounds, result):
    alive = [config for config in bench.configs if config.name not in result.errors]
    generator.shuffle(alive)
    for config in alive:
        _progress(bench, number, rounds, config)
        try:
            result.rows.setdefault(config.name, []).append(_row(bench, config, number))
        except (env.Missing, measure.Failed) as reason:
            result.errors[config.name] = env.anonymous(str(reason))


def run(bench, rounds, seed):
    """All rounds of one bench. The order of the configurations in every round follows from the seed."""
    rounds = min(rounds * bench.repeat, bench.rounds or rounds * bench.repeat)
    generator = random.Random(f"{seed}-{bench.name}")
    result = Result({})
    try:
        bench.prepare()
    except (env.Missing, measure.Failed) as reason:
        result.errors = {config.name: env.anonymous(str(reason)) for config in bench.configs}
        return result
    for number in range(rounds):
        _one_round(bench, generator, number, rounds, result)
    _clear_progress()
    return result


def run_work(config, work, limit_s=measure.LIMIT_S, expect_bench=True):
    """Runs one Work under one configuration, and adds the size of what it captured."""
    stem = peers.out_stem(config.name)
    measure.clear(f"{stem.name}[._]*")
    argv, extra = config.wrap(work, stem)
    metrics = measure.run(argv, {**work.env, **extra}, work.stdin, limit_s, expect_bench)
    found = sorted(env.SCRATCH.glob(f"{stem.name}[._]*"))
    if found:
        metrics["capture_bytes"] = measure.size_of(found)
    elif config.captures:
        raise measure.Failed(f"{config.name} left no capture")
    return metrics
