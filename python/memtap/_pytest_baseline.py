"""What each test needed before: a file that is kept (--memtap-baseline), or the last run that passed (--memtap-fail-on-increase).

Decides: growth within the tolerance, and below 64 KiB, is never held against a test; what is filled at first use (imports,
caches) is in neither number, because the first test to come pays it. Only tests that passed are written.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

from memtap._measure import format_size, parse_size
from memtap._pytest_call import Measurement

NOISE_BYTES = 64 * 1024  # growth that is never held against a test: free lists, dictionaries
JSON_FORMAT = 1
KEYS = ("peak_bytes", "leaked_bytes")
_CACHE_KEY = "memtap/last_passed"


def parse_tolerance(text: str) -> Callable[[int], int]:
    """"10%" or "1 MB" as a function from the bytes before to the bytes allowed. ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if match:
        share = float(match.group(1)) / 100
        return lambda bytes_: bytes_ + max(NOISE_BYTES, int(bytes_ * share))
    try:
        growth = parse_size(text)
    except ValueError:
        raise ValueError(f"not a size: {text!r}, nor a share (write '10%', '512 KiB' or a number of bytes)") from None
    return lambda bytes_: bytes_ + max(NOISE_BYTES, growth)


def python_version() -> str:
    """"3.11" """
    return "{}.{}".format(*sys.version_info)


def numbers_of(measurement: Measurement) -> Dict[str, int]:
    """The numbers that are compared."""
    return {"peak_bytes": measurement.steady_peak_bytes, "leaked_bytes": measurement.leaked_bytes}


def growth(known: Dict[str, int], measurement: Measurement, allowed: Callable[[int], int], what: str) -> List[str]:
    """Where a test exceeds what is known of it; what: the sentence's name for that."""
    found = []
    for key, now in numbers_of(measurement).items():
        before = known.get(key)
        if before is not None and now > allowed(before):
            found.append(f"memtap: {key[:-6]} is {format_size(now)}, {what} {format_size(before)} and "
                         f"{format_size(allowed(before))} would be allowed")
    return found


def _passed(results: Dict[str, Dict[str, Any]]) -> Dict[str, Dict[str, int]]:
    """Of the tests that passed in this run, the numbers that the next one compares with."""
    return {nodeid: row["steady"] for nodeid, row in results.items() if row["outcome"] == "passed" and "steady" in row}


class Baseline:
    """What each test needed: {"format": 1, "python": "3.11", "tests": {nodeid: {"peak_bytes": n, "leaked_bytes": n}}}."""

    def __init__(self, path: Optional[str], updating: bool, tolerance: Callable[[int], int]) -> None:
        self.path = path
        self.updating = updating
        self.tests: Dict[str, Dict[str, int]] = {}
        self.python = python_version()
        self._allowed = tolerance
        if updating and not path:
            raise pytest.UsageError("--memtap-update-baseline needs --memtap-baseline FILE")
        if path and not (updating and not os.path.exists(path)):
            self._read(path)

    def _read(self, path: str) -> None:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != JSON_FORMAT:
                raise ValueError(f"format {content['format']} is not {JSON_FORMAT}")
            self.tests = {nodeid: {key: int(row[key]) for key in KEYS} for nodeid, row in content["tests"].items()}
            self.python = content["python"]
        except FileNotFoundError:
            raise pytest.UsageError(f"no baseline {path}: write it with --memtap-update-baseline") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise pytest.UsageError(f"cannot read the baseline {path}: {error!r}") from None

    def problems(self, nodeid: str, measurement: Measurement) -> List[str]:
        """Where a test exceeds its baseline."""
        known = {} if self.updating else self.tests.get(nodeid, {})
        return growth(known, measurement, self._allowed, "the baseline has")

    def write(self, results: Dict[str, Dict[str, Any]]) -> None:
        """Adds the passed tests of this run to the file; the file is replaced as a whole or not at all."""
        tests = {**self.tests, **_passed(results)}
        write_json(str(self.path), {"format": JSON_FORMAT, "python": python_version(), "tests": dict(sorted(tests.items()))})


class LastRun:
    """What each test needed when it passed last, in pytest's cache; by Python version."""

    def __init__(self, config: pytest.Config, tolerance: Callable[[int], int]) -> None:
        self._cache = getattr(config, "cache", None)
        self._allowed = tolerance
        if self._cache is None:
            raise pytest.UsageError("--memtap-fail-on-increase needs pytest's cache, which `-p no:cacheprovider` switches off: "
                                    "use --memtap-baseline FILE")
        self._key = f"{_CACHE_KEY}_{python_version()}"
        tests = self._cache.get(self._key, {})
        self.tests: Dict[str, Dict[str, int]] = tests if isinstance(tests, dict) else {}

    def problems(self, nodeid: str, measurement: Measurement) -> List[str]:
        """Where a test needs more than it did."""
        return growth(self.tests.get(nodeid, {}), measurement, self._allowed, "the last run that passed had")

    def write(self, results: Dict[str, Dict[str, Any]]) -> None:
        """Remembers the passed tests of this run."""
        self._cache.set(self._key, {**self.tests, **_passed(results)})  # type: ignore[union-attr]


def write_json(path: str, content: Dict[str, Any]) -> None:
    """Replaces the file as a whole or not at all. OSError."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.basename(path), suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
