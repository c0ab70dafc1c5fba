"""The short table of the README: memtap beside what a user would pick instead, one line a kind of work.

`~1` stands for a ratio that the run cannot tell from 1 (core.Result.noise)."""

import itertools

from . import peers, report


def _added(result, config, base="plain"):
    return None if result is None else result.added(config, "ns_per_op", base)


def _ratio(result, config, key, base="plain"):
    return None if result is None else result.ratio(config, key, base)


def _distinct(result, config, key):
    """A ratio to plain as text; `~1` where it is within the noise of its run. None when it was not measured."""
    ratio = _ratio(result, config, key)
    if ratio is None:
        return None
    return "~1" if abs(ratio - 1) <= result.noise(key) else report.number(ratio)


def _ratio_cells(result, key, rows):
    """`a / b / cx` a row of configurations; the noise of the run stands with the first."""
    texts = [[_distinct(result, config, key) for config in configs] for configs in rows]
    cells = [" / ".join(text or "-" for text in row) for row in texts]
    cells = [cell if set(row) <= {"~1", None} else cell + "x" for cell, row in zip(cells, texts)]
    if any("~1" in row for row in texts):
        cells[0] += f" (noise {100 * result.noise(key):.0f} %)"
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


def _sample_rows(results):
    rows = []
    for title, name, key, rival in (("CPython 3.11, JSON, sampling", "sample-py3.11-json", "body_cpu_s", "scalene"),
                                    ("CPython 3.11, objects, sampling", "sample-py3.11-objects", "body_cpu_s", "scalene"),
                                    ("numpy, sampling", "sample-py3.11-numpy", "body_cpu_s", "scalene"),
                                    ("redis, sampling", "redis", "us_per_request", "heaptrack (in process)")):
        result = results.get(name)
        rival_name = rival.split(" (")[0] + (", every call" if rival.startswith("heaptrack") else "")
        if result is None:
            continue
        own, other = _ratio_cells(result, key, [["memtap sample"], [rival]])
        rows.append([title, own, other if other == "-" else f"{rival_name} {other}"])
    return rows


def _python_rows(results):
    rows = []
    for version, program in itertools.product(("3.11", "3.12", "3.14"), ("json", "recursion", "objects", "buffers", "calls")):
        result = results.get(f"py{version}-{program}")
        if result is None:
            continue
        cells = _ratio_cells(result, "body_cpu_s",
                             [[f"{tool} {mode}" for mode, *_ in peers.MEMRAY_MODES] for tool in ("memtap", "memray")])
        rows.append([f"CPython {version}, {program}, every call: Python stacks / + native / + Python allocators / all", cells[0],
                     f"memray {cells[1]}"])
    return rows


def markdown(results):
    """The table; rows of benches that were not run are left out."""
    rows = [row for row in _micro_rows(results) + _sample_rows(results) + _python_rows(results) if row[1] != "-"]
    return report.markdown_table(["CPU cost", "memtap", "instead"], rows)
