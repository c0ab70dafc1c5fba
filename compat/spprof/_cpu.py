"""A small sampler of Python stacks: what `spprof.start()` and `.stop()` need to mean something.

Decides: a daemon thread looks at sys._current_frames() every interval_ms and counts stacks; it sees the interpreter only
between byte codes, and native code as the Python line that called it. Time is wall time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Counter as CounterType
from typing import Dict, List, Optional, Tuple, Union

Site = Tuple[str, str, int]  # function, file, line
MAX_STACKS = 100_000  # distinct stacks kept; later ones count as dropped


class Profile:
    """A finished profile. samples: {stack from the root to the leaf: times seen}."""

    def __init__(self, interval_ms: float, samples: Dict[Tuple[Site, ...], int], dropped: int, duration_s: float) -> None:
        self.interval_ms = interval_ms
        self.samples = samples
        self.dropped = dropped
        self.duration_s = duration_s

    def save(self, path: Union[str, os.PathLike], format: str = "speedscope") -> None:
        """Writes speedscope's JSON or collapsed stacks. ValueError for another format."""
        writers = {"speedscope": self._speedscope, "collapsed": self._collapsed}
        if format not in writers:
            raise ValueError(f"Unknown format: {format}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(writers[format]())

    def _speedscope(self) -> str:
        frames = {site: index for index, site in enumerate(dict.fromkeys(site for stack in self.samples for site in stack))}
        weights = [count * self.interval_ms for count in self.samples.values()]
        return json.dumps({
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "name": "CPU Profile",
            "exporter": "memtap-compat",
            "activeProfileIndex": 0,
            "shared": {"frames": [{"name": name, "file": file, "line": line} for name, file, line in frames]},
            "profiles": [{
                "type": "sampled", "name": "CPU Profile", "unit": "milliseconds", "startValue": 0, "endValue": sum(weights),
                "samples": [[frames[site] for site in stack] for stack in self.samples], "weights": weights,
            }],
        })

    def _collapsed(self) -> str:
        totals: CounterType[str] = Counter()
        for stack, count in self.samples.items():
            totals[";".join(name.replace(";", ":") for name, _, _ in stack)] += count
        return "".join(f"{line} {count}\n" for line, count in totals.items())


class _Sampler:
    def __init__(self, interval_ms: float) -> None:
        self.interval_ms = interval_ms
        self._samples: CounterType[Tuple[Site, ...]] = Counter()
        self._dropped = 0
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="spprof-sampler", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False in a fork child: the thread stayed with the parent."""
        return self._pid == os.getpid()

    def finish(self) -> Profile:
        self._stop.set()
        self._thread.join()
        return Profile(self.interval_ms, dict(self._samples), self._dropped, time.monotonic() - self._began)

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._stop.wait(self.interval_ms / 1000):
            for thread, frame in sys._current_frames().items():
                if thread != own:
                    self._count(_stack(frame))

    def _count(self, stack: Tuple[Site, ...]) -> None:
        if stack in self._samples or len(self._samples) < MAX_STACKS:
            self._samples[stack] += 1
        else:
            self._dropped += 1


def _stack(frame) -> Tuple[Site, ...]:
    sites: List[Site] = []
    while frame is not None:
        code = frame.f_code
        sites.append((code.co_name, code.co_filename, frame.f_lineno or code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(sites))


_lock = threading.Lock()
_sampler: Optional[_Sampler] = None


def start(interval_ms: float = 10) -> None:
    """Begins to sample every thread's Python stack. RuntimeError when running, ValueError below 1 ms."""
    global _sampler
    if interval_ms < 1:
        raise ValueError("interval_ms must be >= 1")
    with _lock:
        if _sampler is not None and _sampler.alive:
            raise RuntimeError("Profiler already running")
        _sampler = _Sampler(interval_ms)


def stop() -> Profile:
    """Ends sampling; the profile. RuntimeError when not running."""
    global _sampler
    with _lock:
        if _sampler is None or not _sampler.alive:
            raise RuntimeError("Profiler not running")
        finished, _sampler = _sampler, None
    return finished.finish()


def is_active() -> bool:
    """Is the sampler running in this process?"""
    return _sampler is not None and _sampler.alive
