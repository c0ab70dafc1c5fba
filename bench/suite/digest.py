"""The short table of the README: memtap beside what a user would pick instead, one line a kind of work."""

from . import peers, report


def _added(result, config, base="plain"):
    return None if result is None else result.added(config, "ns_per_op", base)


def _ratio(result, config, key, base="plain"):
    return None if result is None else result.ratio(config, key, base)


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
    for title, name, key, rival in (("CPython, JSON, sampling", "sample-py3.11-json", "body_cpu_s", "scalene"),
                                    ("CPython, objects, sampling", "sample-py3.11-objects", "body_cpu_s", "scalene"),
                                    ("numpy, sampling", "sample-py3.11-numpy", "body_cpu_s", "scalene"),
                                    ("redis, sampling", "redis", "us_per_request", "heaptrack (in process)")):
        result = results.get(name)
        rival_name = rival.split(" (")[0] + (", every call" if rival.startswith("heaptrack") else "")
        rows.append([title, _text([("", _ratio(result, "memtap sample", key))], "{}x"),
                     _text([(rival_name, _ratio(result, rival, key))], "{}x")])
    return rows


def _python_rows(results):
    rows = []
    for program in ("json", "recursion", "objects", "buffers", "calls"):
        result = results.get(f"py3.11-{program}")
        if result is None:
            continue
        cells = [" / ".join(report.number(_ratio(result, f"{tool} {mode}", "body_cpu_s")) for mode, *_ in peers.MEMRAY_MODES)
                 for tool in ("memtap", "memray")]
        rows.append([f"CPython, {program}, every call: Python stacks / + native / + Python allocators / all", cells[0] + "x",
                     f"memray {cells[1]}x"])
    return rows


def markdown(results):
    """The table; rows of benches that were not run are left out."""
    rows = [row for row in _micro_rows(results) + _sample_rows(results) + _python_rows(results) if row[1] != "-"]
    return report.markdown_table(["CPU cost", "memtap", "instead"], rows)
