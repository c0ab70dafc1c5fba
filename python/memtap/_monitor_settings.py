"""What a MemoryMonitor is asked to do: the MONITORING_* variables, their defaults, and changes at run time."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional

__all__ = ["PROFILING_DISABLED", "SNAPSHOTS_DISABLED", "Settings", "checked"]

logger = logging.getLogger("memtap.monitoring")
SOURCES = ("auto", "sampler", "tracemalloc")
_HOW_TO_ENABLE = "set MONITORING_TRACEMALLOC_ENABLED=true, or PUT …/monitoring/config"  # of whatever source: the name is the original's
SNAPSHOTS_DISABLED = f"Memory snapshots are not enabled, neither of the sampler nor of tracemalloc: {_HOW_TO_ENABLE}"
PROFILING_DISABLED = f"Memory profiling disabled: {_HOW_TO_ENABLE}"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


@dataclass(frozen=True)
class Settings:
    """Settings of a MemoryMonitor. Each is read from the variable MONITORING_<NAME IN CAPITALS>.

    tracemalloc_enabled: take snapshots (the name is that of the original; what they are made of is `source`).
    tracemalloc_threshold_mb: resident memory in MiB from which on the monitor takes them by itself; tracemalloc_top_n: places in
    each; tracemalloc_min_interval_s: at least so many seconds between two of them; check_interval_s: how often it looks.
    source: "sampler" (memtap.memprof), "tracemalloc", or "auto": tracemalloc where the program is tracing already, else the sampler.
    sampling_rate_kb: of the sampler, where it is not running yet. process_history_size: samples kept of each process.
    slow_query_threshold_ms, slow_query_ring_size, slow_endpoint_threshold_ms, slow_endpoint_ring_size: what is slow, and how many
    of the slowest are kept.
    """

    tracemalloc_enabled: bool = False
    tracemalloc_threshold_mb: float = 100.0
    tracemalloc_top_n: int = 10
    tracemalloc_min_interval_s: float = 60.0
    check_interval_s: float = 5.0
    source: str = "auto"
    sampling_rate_kb: int = 128
    process_history_size: int = 100
    slow_query_threshold_ms: float = 100.0
    slow_query_ring_size: int = 50
    slow_endpoint_threshold_ms: float = 1000.0
    slow_endpoint_ring_size: int = 50

    @classmethod
    def from_environment(cls, environment: Optional[Mapping[str, str]] = None) -> Settings:
        """What cannot be read is said in the log, and the default taken."""
        environment = os.environ if environment is None else environment
        values: Dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            text = environment.get("MONITORING_" + field.name.upper())
            if text is None:
                continue
            try:
                values[field.name] = checked(field.name, _read(field.name, text))
            except ValueError as error:
                logger.warning("MONITORING_%s: %s; the default is taken: %s", field.name.upper(), error, field.default)
        return cls(**values)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """A copy with these values. ValueError: no such setting, or a value it cannot have; then nothing is changed."""
        return dataclasses.replace(self, **{name: checked(name, value) for name, value in changes.items()})


def _is_number(value: Any) -> bool:
    """One that a float can be."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _whole(value: Any, most: int = 1_000_000) -> Optional[int]:
    return int(value) if _is_number(value) and value == int(value) and 1 <= value <= most else None


def _amount(least: float, most: float = 1e15) -> Callable[[Any], Optional[float]]:
    return lambda value: float(value) if _is_number(value) and least <= value <= most else None


_KINDS: Dict[str, Any] = {
    "bool": (lambda value: value if isinstance(value, bool) else None, "true or false"),
    "int": (_whole, "a whole number, 1 to 1,000,000"),
    "float": (_amount(0.0), "a number, 0 or more"),
    "str": (lambda value: value if value in SOURCES else None, "one of " + ", ".join(SOURCES)),
}
_SECONDS = {"check_interval_s": 0.01}  # at least; at most a day
_DAY_S = 86400.0
_TYPES = {field.name: str(field.type) for field in dataclasses.fields(Settings)}


def checked(name: str, value: Any) -> Any:
    """The value as the setting has it. ValueError: there is no such setting, or it cannot have this value."""
    if name not in _TYPES:
        raise ValueError(f"no setting is called {name!r}; there are {', '.join(sorted(_TYPES))}")
    take, wanted = _KINDS[_TYPES[name]]
    if name in _SECONDS:
        take, wanted = _amount(_SECONDS[name], _DAY_S), f"a number of seconds, {_SECONDS[name]} to {_DAY_S:.0f}"
    taken = take(value)
    if taken is None:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return taken


def _read(name: str, text: str) -> Any:
    """A variable's text as a value; what is none comes back as text, which checked() then refuses."""
    text = text.strip()
    if _TYPES[name] == "bool":
        lower = text.lower()
        return lower in _TRUE if lower in _TRUE + _FALSE else text
    if _TYPES[name] == "str":
        return text.lower()
    try:
        return float(text)
    except ValueError:
        return text
