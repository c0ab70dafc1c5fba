#!/usr/bin/env python3
"""`make bench`: memtap against what a user would pick instead, in the same run, interleaved. See docs/benchmarks.md.

    bench/run.py                      everything, 5 rounds (about 40 minutes)
    bench/run.py --quick              a part of everything, 3 rounds (about 5 minutes)
    bench/run.py --list               what there is
    bench/run.py --only 'micro' --only sample-pairs --rounds 9
"""

import argparse
import fnmatch
import json
import sys
import time

from suite import core, counts, digest, env, inside, looks, memory, micro, programs, python, reader, report, starts, tracker

QUICK = ("sample-pairs", "sample-large", "sample-realloc", "exact-pairs", "exact-deep", "sqlite", "redis", "py3.11-json",
         "py3.11-objects", "sample-py3.11-json", "memory-fixed", "start-exec", "instr-pairs", "instr-sqlite")
MARKS = ("<!-- bench:begin -->", "<!-- bench:end -->")


def parse_arguments():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the benches and groups with their minutes, and leave")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="benches whose name or group matches (shell pattern or part of it); may be repeated")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of every bench (default 5, --quick 3)")
    parser.add_argument("--quick", action="store_true", help="a short list of benches, three rounds")
    parser.add_argument("--seed", type=int, default=0, help="order of the configurations (default: from the clock, printed)")
    parser.add_argument("--onto", default="", metavar="NAME",
                        help="what is not measured now stays as bench/results/NAME.json has it, which is written anew")
    parser.add_argument("--name", default="", help="name of the results file in bench/results (default full, quick or only)")
    parser.add_argument("--render", default="", metavar="NAME", help="measure nothing: tables and digest anew from bench/results/NAME.json")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md and the digest into README.md")
    return parser.parse_args()


def all_benches():
    """Every bench, in the order of the report."""
    return [*micro.benches(), *inside.benches(), *counts.benches(), *counts.modes(), *programs.benches(), *python.benches(), *memory.benches(),
            *reader.benches(), *looks.benches(), *tracker.benches(), *starts.benches()]


def _matches(bench, pattern):
    return any(fnmatch.fnmatch(text, pattern) or pattern in text for text in (bench.name, bench.group))


def choose(arguments):
    """The benches asked for."""
    benches = all_benches()
    if arguments.only:
        return [bench for bench in benches if any(_matches(bench, pattern) for pattern in arguments.only)]
    return [bench for bench in benches if bench.name in QUICK] if arguments.quick else benches


def _minutes(result):
    """What a bench took when it was stored."""
    return sum(row["seconds"] for rows in result.rows.values() for row in rows) / 60


def print_list(benches):
    """One line a bench, with the minutes that it took in the stored run of everything; and the minutes of each group."""
    facts, results = stored("full")
    groups = {}
    print(f"minutes in bench/results/full.json: {facts['rounds']} rounds, load {facts['load_at_start']:.1f}")
    for bench in benches:
        minutes = _minutes(results[bench.name]) if bench.name in results else None
        groups.setdefault(bench.group, []).append(minutes)
        print(f"{'-' if minutes is None else f'{minutes:.1f}':>6} {bench.name:28} {bench.group}: {bench.title}")
    print()
    for group, found in groups.items():
        known = [minutes for minutes in found if minutes is not None]
        missing = f", {len(found) - len(known)} not measured then" if len(known) < len(found) else ""
        print(f"{sum(known):6.1f} --only '{group}' ({len(found)} benches{missing})")


def write_docs(path, text):
    """Replaces what is between the marks in a document."""
    old = path.read_text(encoding="utf-8")
    head, rest = old.split(MARKS[0], 1)
    tail = rest.split(MARKS[1], 1)[1]
    path.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}", encoding="utf-8")


def measure_all(benches, rounds, seed):
    """Runs the benches one after the other; every one is printed when it is done."""
    results = {}
    for bench in benches:
        results[bench.name] = core.run(bench, rounds, seed)
        print(report.terminal(bench, results[bench.name]), "\n", flush=True)
    return results


def stored(name):
    """Facts and results by bench of a file in bench/results."""
    found = json.loads((env.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found["facts"], {bench: core.Result(rows["rows"], rows["errors"]) for bench, rows in found["benches"].items()}


def measure(arguments, benches):
    """(facts, results by bench): what is chosen anew, onto what is stored."""
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    seed = arguments.seed or int(time.time())
    env.build()
    facts = {**env.describe(), "seed": seed, "rounds": rounds}
    print(f"seed {seed}, {rounds} rounds, load {facts['load_at_start']:.2f}, memtap: {facts['memtap']}\n", flush=True)
    results = {}
    if arguments.onto:
        earlier, results = stored(arguments.onto)
        for key in ("seed", "rounds", "commit"):
            facts[key] = f"{earlier[key]}, {facts[key]}"
    results.update(measure_all(benches, rounds, seed))
    return facts, results


def publish(name, facts, results, into_docs):
    """Writes the results file, its tables and, when asked, the documents."""
    benches = [bench for bench in all_benches() if bench.name in results]
    bars = [bar for bench in benches for bar in bench.bars(results[bench.name])]
    print(report.bars(bars))
    env.RESULTS.mkdir(exist_ok=True)
    report.write_json(env.RESULTS / f"{name}.json", report.to_json(benches, results, bars, facts))
    text = report.markdown(benches, results, bars, facts)
    (env.RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    if into_docs:
        write_docs(env.REPO / "docs" / "benchmarks.md", text)
        write_docs(env.REPO / "README.md", digest.markdown(results))
    print(f"\n{sum(bar.met() is True for bar in bars)} bars met, {sum(bar.met() is False for bar in bars)} missed, "
          f"{sum(bar.met() is None for bar in bars)} not measured; bench/results/{name}.json, {name}.md")


def main():
    """Returns 0: bars are reported, not enforced (bench/gate.py enforces counted instructions)."""
    arguments = parse_arguments()
    benches = choose(arguments)
    if arguments.list:
        print_list(benches)
        return 0
    if not benches:
        print("no bench matches; --list names them", file=sys.stderr)
        return 2
    name = arguments.name or arguments.onto or arguments.render or ("only" if arguments.only else "quick" if arguments.quick else "full")
    publish(name, *(stored(arguments.render) if arguments.render else measure(arguments, benches)), arguments.write_docs)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
