#!/usr/bin/env python3
"""Fails when memtap's counted instructions exceed bench/limits.json. Callgrind counts do not depend on the machine's load.

    bench/gate.py            measure and judge (under three minutes); exit 1 when a limit is exceeded or not measured
    bench/gate.py --show     measure only

A limit is what was measured and a little more: it keeps what was won. A bar is what memtap wants to hold; where it is not
held yet the line says so and does not fail.
"""

import json
import sys
import time

from suite import counts, env


def judge(limits, values):
    """Lines for the terminal and the number of failures."""
    lines, failures = [], 0
    for name, limit in limits.items():
        value, reason = values.get(name, (None, "no such measurement"))
        failed = value is None or value > limit["limit"]
        failures += failed
        shown = reason if value is None else f"{value:.4g} {limit['unit']}"
        if value is not None and value > limit.get("bar", value):
            shown += f", bar {limit['bar']:g} MISSED"
        lines.append(f"{'FAILED' if failed else 'ok':7} {name:32} {shown} (limit {limit['limit']:g}: {limit['why']})")
    return lines, failures


def main():
    """Exit status 0 or 1."""
    started = time.monotonic()
    env.build()
    limits = json.loads((env.BENCH / "limits.json").read_text(encoding="utf-8"))
    values = counts.gate_values()
    if "--show" in sys.argv[1:]:
        for name, (value, reason) in values.items():
            print(f"{name:32} {reason if value is None else f'{value:.5g}'}")
        return 0
    lines, failures = judge(limits, values)
    print("\n".join(lines))
    print(f"{len(lines) - failures} passed, {failures} failed")
    print(f"in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
