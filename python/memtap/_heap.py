"""What a look at the sampled heap is made of: samples with their stacks, sites, the health of stacks, counters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional

from memtap import _agent, _sites
from memtap._heap_files import write_collapsed, write_speedscope
from memtap._text import shown


@dataclass
class StackFrame:
    """One call. address: native return address, 0 for Python; file "" and line 0 where unknown."""

    address: int
    function: str
    file: str
    line: int
    is_python: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return shown(f"{self.function} ({place})" if place else self.function)


class KeptStack:
    """A stack as samples have it: its frames, and how many of them are native. recorded: as the session has it."""

    __slots__ = ("frames", "native_depth", "recorded")

    def __init__(self, recorded: Any, frames: List[StackFrame]) -> None:
        self.recorded = recorded
        self.frames = frames
        self.native_depth = sum(1 for frame in frames if not frame.is_python)


class KeptStacks:
    """The stacks of a session's snapshots: a stack that an earlier one had is not made again, and frames are shared."""

    def __init__(self) -> None:
        self._stacks: Dict[int, KeptStack] = {}
        self._frames: Dict[Any, StackFrame] = {}

    def of(self, stacks: Dict[int, Any]) -> Dict[int, KeptStack]:
        """By the same numbers."""
        kept = self._stacks
        for number, recorded in stacks.items():
            stack = kept.get(number)
            if stack is None or stack.recorded is not recorded:
                kept[number] = self._make(recorded)
        return {number: kept[number] for number in stacks}

    def _make(self, recorded: Any) -> KeptStack:
        frames = []
        for row in recorded:
            frame = self._frames.get(row)
            if frame is None:
                frame = self._frames[row] = StackFrame(*row)
            frames.append(frame)
        return KeptStack(recorded, frames)


@dataclass
class AllocationSample:
    """One sampled allocation.

    address; size: bytes asked for, exact; weight and estimated_bytes: bytes it stands for, the same number; timestamp_ns:
    when it was allocated (monotonic); lifetime_ns: None while it is alive; stack: innermost call first; label, task: whose it is
    (memtap.label, memtap.label_tasks), None where nobody said.
    """

    address: int
    size: int
    weight: int
    estimated_bytes: int
    timestamp_ns: int
    lifetime_ns: Optional[int] = None
    stack: List[StackFrame] = field(default_factory=list)
    gc_epoch: int = 0
    label: Optional[str] = None
    task: Optional[str] = None

    @property
    def is_live(self) -> bool:
        """Was it alive when the snapshot was taken?"""
        return self.lifetime_ns is None


@dataclass(frozen=True)
class AllocationSite:
    """A place in a program with what was allocated there: bytes estimated, count of samples. file "", line 0: unknown."""

    function: str
    file: str
    line: int
    bytes: int
    count: int


@dataclass
class FramePointerHealth:
    """How far native stacks can be trusted. memtap unwinds by the binaries' own unwind tables, frame pointers or not.

    shallow_stack_warnings: stacks with fewer than 2 native frames; total_native_stacks; avg_native_depth,
    min_native_depth: frames; truncation_rate: shallow / total, 0.0 without stacks.
    """

    shallow_stack_warnings: int
    total_native_stacks: int
    avg_native_depth: float
    min_native_depth: int
    truncation_rate: Optional[float] = None

    def __post_init__(self) -> None:
        if self.truncation_rate is None:
            total = self.total_native_stacks
            self.truncation_rate = self.shallow_stack_warnings / total if total > 0 else 0.0

    @property
    def confidence(self) -> str:
        """'high' below 5 % shallow stacks, 'medium' below 20 %, else 'low'."""
        rate = self.truncation_rate or 0.0
        return "high" if rate < 0.05 else "medium" if rate < 0.20 else "low"

    @property
    def recommendation(self) -> Optional[str]:
        """What to do about it; None when confidence is high."""
        if self.confidence == "high":
            return None
        return (
            f"{self.shallow_stack_warnings} of {self.total_native_stacks} native stacks end after one frame: "
            "build what is in them with unwind tables (-fasynchronous-unwind-tables; -fno-omit-frame-pointer is not needed)"
        )


@dataclass
class HeapSnapshot:
    """The live samples of one moment. total_samples: ever taken; estimated_heap_bytes: sum of the live samples' weights."""

    samples: List[AllocationSample] = field(repr=False)
    total_samples: int
    live_samples: int
    estimated_heap_bytes: int
    timestamp_ns: int
    frame_pointer_health: FramePointerHealth
    freed_samples: List[AllocationSample] = field(default_factory=list, repr=False)

    def sites(self, n: int = 10, by: str = "site") -> List[AllocationSite]:
        """The n sites with most live bytes, largest first.

        by: "site", the innermost Python call, or where there is none the innermost native one outside allocators and
        interpreter; "python", the innermost Python call only; "leaf", the innermost call of all; "root", the outermost.
        ValueError: another word.
        """
        return [AllocationSite(*site) for site in _sites.top(self.samples, n, by)]

    def top_allocators(self, n: int = 10, by: str = "site") -> List[Dict[str, Any]]:
        """sites(n, by) as dicts with function, file, line, estimated_bytes, sample_count."""
        names = ("function", "file", "line", "estimated_bytes", "sample_count")
        return [dict(zip(names, site)) for site in _sites.top(self.samples, n, by)]

    def diff(self, earlier: "HeapSnapshot") -> "HeapSnapshot":
        """Growth since an earlier snapshot: what is alive now and was not then, as a snapshot to ask and to save like any.

        total_samples: taken in between. Memory that was alive then and has been freed is not subtracted.
        """
        if not isinstance(earlier, HeapSnapshot):
            raise TypeError(f"diff takes an earlier HeapSnapshot, as get_snapshot() returns, not {earlier!r}")
        known = {(sample.address, sample.timestamp_ns) for sample in earlier.samples}
        new = [sample for sample in self.samples if (sample.address, sample.timestamp_ns) not in known]
        taken, held = self.total_samples - earlier.total_samples, sum(sample.estimated_bytes for sample in new)
        return replace(self, samples=new, total_samples=taken, live_samples=len(new), estimated_heap_bytes=held, freed_samples=[])

    def save(self, path: Any, format: str = "speedscope") -> None:
        """Writes the live samples for speedscope.app ("speedscope") or flamegraph.pl ("collapsed"). path: str or Path."""
        writers = {"speedscope": write_speedscope, "collapsed": write_collapsed}
        if format not in writers:
            raise ValueError(f"Unknown format: {format} (speedscope, collapsed)")
        with _agent.unrecorded():
            writers[format](self, path)


@dataclass
class ProfilerStats:
    """Counters of the profiler.

    total_samples = live_samples + freed_samples; unique_stacks; estimated_heap_bytes: as a snapshot's;
    heap_map_load_percent: of the table of live samples, which grows at 50; collisions: samples at an address whose free
    was never seen; sampling_rate_bytes: 1 when every allocation is recorded. The last three: native stacks that broke off;
    frees of samples nobody knew; collisions again, under the name of the original.
    What the profiler itself took: own_cpu_seconds, in hooks and recorder (an estimate; get_snapshot() and the like not
    included); own_bytes, resident when last measured; dropped_events it could not record.
    """

    total_samples: int
    live_samples: int
    freed_samples: int
    unique_stacks: int
    estimated_heap_bytes: int
    heap_map_load_percent: float
    collisions: int
    sampling_rate_bytes: int
    shallow_stack_warnings: int = 0
    death_during_birth: int = 0
    zombie_races_detected: int = 0
    own_cpu_seconds: float = 0.0
    own_bytes: int = 0
    dropped_events: int = 0
