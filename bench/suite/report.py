"""Tables: for the terminal, as JSON, and as markdown for docs/benchmarks.md."""

import json
import re

from . import stats

COLUMN_NAMES = {"cpu_s": "tree CPU s", "wall_s": "wall s", "maxrss_kib": "peak RSS MiB", "capture_bytes": "capture MB",
                "bytes_per_event": "B/event", "events_per_s": "M events/s", "wall_ns_per_op": "wall ns", "scaling": "scaling", "cpu_scaling": "CPU scaling"}
SCALES = {"maxrss_kib": 1 / 1024, "capture_bytes": 1e-6, "events_per_s": 1e-6}


def number(value):
    """Four significant digits, no exponent."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{3 if abs(value) < 10 else 2 if abs(value) < 100 else 1}f}"


def _ratio_text(found):
    if found is None:
        return "-"
    return f"{found['median']:.3f} [{found['min']:.3f}-{found['max']:.3f}]"


def _lowest_difference(rows, base, key):
    low, base_low = stats.lowest(rows, key), stats.lowest(base, key)
    return None if low is None or base_low is None else low - base_low


def _config_row(bench, result, config):
    rows = result.rows.get(config.name)
    if not rows:
        return None
    base = result.rows.get(bench.base, [])
    found = stats.summary([row[bench.metric] for row in rows])
    difference = stats.added(rows, base, bench.metric)
    cells = [config.name, number(found["median"]), f"{number(found['min'])}-{number(found['max'])}",
             _ratio_text(stats.ratio(rows, base, bench.metric)), number(difference["median"] if difference else None),
             number(_lowest_difference(rows, base, bench.metric))]
    for key in bench.extra:
        middle = stats.middle(rows, key)
        cells.append(number(None if middle is None else middle * SCALES.get(key, 1)))
    return cells


def table(bench, result):
    """(header, rows) of one bench."""
    header = ["configuration", f"{bench.unit}, median", "min-max", f"ratio to {bench.base} [min-max]", f"added {bench.unit}", "min - min"]
    header += [COLUMN_NAMES.get(key, key) for key in bench.extra]
    rows = [_config_row(bench, result, config) for config in bench.configs]
    return header, [row for row in rows if row is not None]


def aligned(header, rows):
    """Text table: the first column left, the others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines)


def markdown_table(header, rows):
    """The same for markdown."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _error_lines(result):
    return [f"not measured: {name}: {reason}" for name, reason in result.errors.items()]


def terminal(bench, result):
    """What is printed when a bench is done."""
    rounds = max((len(rows) for rows in result.rows.values()), default=0)
    lines = [f"{bench.name}: {bench.title} ({bench.unit}, {rounds} rounds)"]
    lines.append(aligned(*table(bench, result)))
    lines += ["  " + line for line in _error_lines(result)]
    return "\n".join(lines)


def bar_row(bar):
    """One line of the table of bars."""
    verdict = {True: "met", False: "MISSED", None: "not measured"}[bar.met()]
    relation = ">=" if bar.at_least else "<="
    return [bar.bench, bar.text, number(bar.value), number(bar.fastest), f"{relation} {number(bar.limit)} {bar.unit}", verdict]


BAR_HEADER = ["bench", "bar", "measured", "fastest rounds", "limit", "verdict"]


def bars(found):
    """Text table of bars."""
    return aligned(BAR_HEADER, [bar_row(bar) for bar in found])


def to_json(benches, results, found_bars, facts):
    """Everything, for bench/results: every row of every round."""
    return {
        "facts": facts,
        "benches": {
            bench.name: {
                "group": bench.group, "title": bench.title, "metric": bench.metric, "unit": bench.unit, "base": bench.base,
                "rows": results[bench.name].rows, "errors": results[bench.name].errors,
                "medians": {name: stats.middle(rows, bench.metric) for name, rows in results[bench.name].rows.items()},
            }
            for bench in benches
        },
        "bars": [{"bench": bar.bench, "text": bar.text, "value": bar.value, "fastest": bar.fastest, "limit": bar.limit, "unit": bar.unit,
                  "at_least": bar.at_least, "met": bar.met()} for bar in found_bars],
    }


def markdown(benches, results, found_bars, facts):
    """The measured part of docs/benchmarks.md."""
    pythons = "; ".join(f"Python {value}" for key, value in facts.items() if key.startswith("python"))
    lines = [f"Measured on: {facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, {facts['libc']}; seed "
             f"{facts['seed']}, {facts['rounds']} rounds, load at start {facts['load_at_start']:.2f}; {facts['memtap']} at "
             f"{facts['commit']}; {facts['heaptrack']}; {pythons}.", ""]
    lines += ["### Bars", "", markdown_table(BAR_HEADER, [bar_row(bar) for bar in found_bars]), ""]
    group = None
    for bench in benches:
        if bench.group != group:
            group = bench.group
            lines += [f"### {group[0].upper()}{group[1:]}", ""]
        result = results[bench.name]
        lines += [f"**{bench.name}**: {bench.title}", "", markdown_table(*table(bench, result)), ""]
        lines += [f"- {line}" for line in _error_lines(result)] + ([""] if result.errors else [])
    return "\n".join(lines)


def write_json(path, content):
    """Writes a results file whole or not at all; a measurement is one line."""
    partial = path.with_suffix(".partial")
    text = re.sub(r"\{[^{}\[\]]*\}", lambda innermost: re.sub(r"\n *", " ", innermost[0]), json.dumps(content, indent=1))
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
