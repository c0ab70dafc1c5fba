"""The short table of the README: memtap beside what a user would pick instead, one line a kind of work.

A ratio that the run cannot tell from 1 (core.Result.noise) is not shown as a number: counted instructions stand for it where there
are some, and a row that tells nothing is named below the table."""

import itertools

from . import counts, peers, report


WITHIN, COUNTED = "within noise", "x of the instructions"
NOISY = 0.1


def _added(result, config, base="plain"):
    return None if result is None else result.added(config, "ns_per_op", base)


def _ratio(result, config, key, base="plain"):
    return None if result is None else result.ratio(config, key, base)


def _distinct(result, config, key):
    """A ratio to plain as text; WITHIN where it is within the noise of its run. None when it was not measured."""
    ratio = _ratio(result, config, key)
    if ratio is None:
        return None
    return WITHIN if abs(ratio - 1) <= result.noise(key) else report.number(ratio)


def _joined(texts, unit):
    """`a / b / c` and the unit; WITHIN once where all are."""
    if set(texts) <= {WITHIN, None}:
        return WITHIN if WITHIN in texts else "-"
    return " / ".join(text or "-" for text in texts) + unit


def _counted_cells(counted, rows):
    """The same in instructions, which no other program disturbs; None where they were not counted."""
    ratios = [[_ratio(counted, config, "instructions") for config in row] for row in rows]
    if None in ratios[0]:
        return None
    return [_joined([report.number(ratio) if ratio is not None else None for ratio in row], COUNTED) for row in ratios]


def _ratio_cells(result, key, rows, counted=None):
    """A cell a row of configurations. Where the run cannot tell something from 1, or is that noisy, what was counted stands instead;
    else the noise with the first. None: the run tells nothing."""
    texts = [[_distinct(result, config, key) for config in configs] for configs in rows]
    noise = result.noise(key)
    doubtful = any(WITHIN in row for row in texts)
    cells = _counted_cells(counted, rows) if doubtful or noise > NOISY else None
    if cells is not None:
        return cells
    if all(set(row) <= {WITHIN, None} for row in texts):
        return None
    cells = [_joined(row, "x") for row in texts]
    if doubtful or noise > NOISY:
        cells[0] += f" (noise {100 * noise:.0f} %)"
    return cells


def _text(values, form):
    """`name value, name value` of the values that were measured."""
    return ", ".join(f"{name} {form.format(report.number(value))}".strip() for name, value in values if value is not None) or "-"


def _micro_rows(results):
    sample, exact, deep = (results.get(name) for name in ("sample-pairs", "exact-pairs", "exact-deep"))
    instead = [("tcmalloc", _added(sample, "tcmalloc 512K", "tcmalloc")), ("jemalloc", _added(sample, "jemalloc 512K", "jemalloc"))]
    rows = [["malloc + free, sampling every 512 KiB", _text([("", _added(sample, "memtap sample"))], "+{} ns"),
             _text(instead, "+{} ns") + " (over themselves)"]]
    for title, result in (("malloc + free, every call, 8 frames", exact), ("the same at 10-60 frames", deep)):
        rows.append([title, _text([("", _added(result, "memtap exact"))], "+{} ns"),
                     _text([("heaptrack", _added(result, "heaptrack (in process)"))], "+{} ns")])
    return rows


SAMPLED = (("CPython 3.11, JSON, sampling", "sample-py3.11-json", "body_cpu_s", "scalene", None),
           ("CPython 3.11, objects, sampling", "sample-py3.11-objects", "body_cpu_s", "scalene", "instr-cpython"),
           ("numpy, sampling", "sample-py3.11-numpy", "body_cpu_s", "scalene", None),
           ("redis, sampling", "redis", "us_per_request", "heaptrack (in process)", None))


def _sample_rows(results):
    """(rows, titles of those that tell nothing)"""
    rows, silent = [], []
    for title, name, key, rival, counted in SAMPLED:
        if name not in results:
            continue
        rival_name = rival.split(" (")[0] + (", every call" if rival.startswith("heaptrack") else "")
        own = _ratio_cells(results[name], key, [["memtap sample"]], results.get(counted))
        other = _ratio_cells(results[name], key, [[rival]])
        if own is None and other is None:
            silent.append(title)
        else:
            rows.append([title, (own or [WITHIN])[0], f"{rival_name} {other[0]}" if other and other[0] != "-" else "-"])
    return rows, silent


MODES = [[f"{tool} {mode}" for mode, *_ in peers.MEMRAY_MODES] for tool in ("memtap", "memray")]


def _python_rows(results):
    """(rows, titles of those that tell nothing)"""
    rows, silent = [], []
    for version, program in itertools.product(("3.11", "3.12", "3.14"), ("json", "recursion", "objects", "buffers", "calls")):
        name, title = f"py{version}-{program}", f"CPython {version}, {program}, every call"
        if name not in results:
            continue
        counted = results.get(f"instr-modes-{program}") if version == counts.PYTHON else None
        cells = _ratio_cells(results[name], "body_cpu_s", MODES, counted)
        if cells is None:
            silent.append(title)
        else:
            rows.append([f"{title}: Python stacks / + native / + Python allocators / all", cells[0], f"memray {cells[1]}"])
    return rows, silent


def markdown(results):
    """The table; rows of benches that were not run are left out, rows that tell nothing are named."""
    sampled, silent = _sample_rows(results)
    modes, more = _python_rows(results)
    rows = [row for row in _micro_rows(results) + sampled + modes if row[1] != "-"]
    lines = [report.markdown_table(["CPU cost", "memtap", "instead"], rows)]
    if silent + more:
        lines += ["", f"Within the noise of this run, memtap and what is beside it: {'; '.join(silent + more)}."]
    return "\n".join(lines)
