"""Instruction counts by callgrind: the same on a busy machine, so a gate can stand on them.

Prices of one operation are the slope between a short and a long run, which removes start-up. Ratios of programs are
totals, start-up included. memtap starts valgrind (`memtap run -- valgrind ...`); only the client is counted.
"""

import re

from . import core, env, measure, peers, python

PYTHON = "3.11"
SHORT, LONG = 20_000, 60_000
FEW, MORE = 2, 10


def _python_work(script, rounds):
    return peers.Work([str(env.BENCH / "programs" / script), str(rounds)], env.venv_python(PYTHON), {"PYTHONHASHSEED": "0"})


def _under(config, valgrind):
    """The configuration of a tool that is a module of Python's, whose process is the one to be counted."""

    def wrap(work, stem):
        argv, variables = config.wrap(work, stem)
        return [*valgrind, *argv], variables

    return peers.Config(config.name, wrap, captures=config.captures)


def _callgrind(config, work):
    """Instructions of one run of a Work under a configuration."""
    out = env.SCRATCH / "callgrind.out"
    valgrind = [env.command("valgrind", "valgrind"), "--tool=callgrind", f"--callgrind-out-file={out}", "-q"]
    # the same samples every time: the number of samples is the only thing in a count that is random
    variables = {"MEMTAP_SEED": "1", **work.env}
    out.unlink(missing_ok=True)
    if config.name.startswith("memray"):
        core.run_work(_under(config, valgrind), peers.Work(work.argv, work.python, variables, work.stdin), expect_bench=False)
    else:
        core.run_work(config, peers.Work([*valgrind, *work.full_argv()], env=variables, stdin=work.stdin), expect_bench=False)
    if not out.exists():
        raise measure.Failed("callgrind wrote no counts")
    found = re.search(r"^(?:totals|summary): (\d+)", out.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    if found is None:
        raise measure.Failed("callgrind wrote no total")
    return int(found.group(1))


def per_operation(config, workload):
    runs = [_callgrind(config, peers.Work([str(env.BIN / workload), str(count)])) for count in (SHORT, LONG)]
    return (runs[1] - runs[0]) / (LONG - SHORT)


def _programs():
    script = env.BENCH / "programs" / "objects.py"
    return {
        "sqlite": lambda: peers.Work([env.command("sqlite3", "sqlite3"), ":memory:"], stdin=str(env.generated("sql", 4000))),
        "cc1": lambda: peers.Work([env.cc1(), "-quiet", "-O1", str(env.generated("c", 12)), "-o", "/dev/null"]),
        "cpython": lambda: peers.Work([str(script), "12"], env.venv_python(PYTHON), {"PYTHONHASHSEED": "0"}),
        "cpython-malloc": lambda: peers.Work([str(script), "12"], env.venv_python(PYTHON),
                                             {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}),
    }


def _pair_bench(workload):
    def run_one(config):
        return {"instructions": per_operation(config, workload)}

    name = f"instr-{workload}"
    configs = [peers.plain(), peers.memtap_sample(), peers.memtap_exact()]
    return core.Bench(name, "instructions (callgrind)", f"{workload}: instructions an operation", configs, "instructions",
                      "instr", run_one, rounds=1)


def _program_bench(program, work):
    def run_one(config):
        return {"instructions": _callgrind(config, work())}

    def bars(result):
        return [core.Bar(f"instr-{program}", f"sample mode, instructions of {program}",
                         result.ratio("memtap sample", "instructions"), 1.02, "x")]

    configs = [peers.plain(), peers.memtap_sample()]
    return core.Bench(f"instr-{program}", "instructions (callgrind)", f"{program}: instructions in all", configs, "instructions",
                      "instr", run_one, bars, rounds=1)


def _rounds_bench(name, script):
    """Exact mode with the Python allocators, a round of a program: start-up left out by the slope of two runs."""

    def run_one(config):
        runs = []
        for rounds in (2, 6):
            runs.append(_callgrind(config, _python_work(script, rounds)))
        return {"instructions": (runs[1] - runs[0]) / 4}

    configs = [peers.plain(), peers.memtap_exact(native=False, python=True)]
    return core.Bench(f"instr-{name}", "instructions (callgrind)", f"{script}: instructions a round, Python allocators and frames",
                      configs, "instructions", "instr", run_one, rounds=1)


def _modes_bench(program, script):
    """The four modes of memray, a round of a program, as _rounds_bench."""

    def run_one(config):
        runs = [_callgrind(config, _python_work(script, rounds)) for rounds in (FEW, MORE)]
        return {"instructions": (runs[1] - runs[0]) / (MORE - FEW)}

    return core.Bench(f"instr-modes-{program}", "instructions of Python (callgrind)", f"{script}: instructions a round, four modes of memray",
                      [peers.plain(), *peers.memray_pairs()], "instructions", "instr", run_one, rounds=1)


def modes():
    """What is shown where times cannot tell: start-up left out, one version of Python. Not among those of the gate: minutes."""
    return [_modes_bench(program, script) for program, (script, _) in python.EXACT.items()]


def benches():
    """Counts are repeatable to a few parts in ten thousand: one round."""
    found = [_pair_bench(workload) for workload in ("pairs", "deep", "realloc")]
    found += [_program_bench(program, work) for program, work in _programs().items()]
    return found + [_rounds_bench("py-json", "json_trips.py"), _rounds_bench("py-objects", "objects.py")]


def gate_values():
    """Every number that bench/limits.json limits, as {name: (value or None, reason)}."""
    values = {}
    for bench in benches():
        result = core.run(bench, 1, 0)
        for config in bench.configs[1:]:
            key = f"{bench.name[6:]} {config.name[7:]}"
            if bench.name in ("instr-pairs", "instr-deep", "instr-realloc"):
                value = result.added(config.name, "instructions")
            else:
                value = result.ratio(config.name, "instructions")
            values[key] = (value, result.errors.get(config.name) or result.errors.get("plain", ""))
    return values
