"""Files of a heap snapshot for flame graph viewers.

Decides: samples with one stack are one line; a sample without a stack counts under "[unknown]", so that the weights add up to
the snapshot's estimate. Formats: https://www.speedscope.app/file-format-schema.json; collapsed: "root;...;leaf bytes" a line.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Dict, List, Tuple

from memtap._memtap import VERSION
from memtap._text import shown


def _weights_by_stack(snapshot: Any) -> List[Tuple[Any, int]]:
    stacks: Dict[int, List[Any]] = {}
    for sample in snapshot.samples:
        stacks.setdefault(id(sample.stack) if sample.stack else 0, [sample.stack, 0])[1] += sample.estimated_bytes
    return [(stack, weight) for stack, weight in stacks.values()]


def _replace(path: Any, text: str) -> None:
    """Writes beside the file and renames: what was there stays whole until the new text is."""
    target = os.fsdecode(path)
    folder = os.path.dirname(os.path.abspath(target))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".memtap-")
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _collapsed_name(function: str) -> str:
    return shown(function.replace(";", ":").replace("\n", " ").replace("\r", " ")) or "[unknown]"


def write_collapsed(snapshot: Any, path: Any) -> None:
    """One line a stack."""
    lines: Dict[str, int] = {}
    for stack, weight in _weights_by_stack(snapshot):
        name = ";".join(_collapsed_name(frame.function) for frame in reversed(stack)) or "[unknown]"
        lines[name] = lines.get(name, 0) + weight
    _replace(path, "".join(f"{name} {weight}\n" for name, weight in lines.items()))


def write_speedscope(snapshot: Any, path: Any) -> None:
    """A "sampled" profile in bytes."""
    index: Dict[Tuple[str, str, int], int] = {}
    frames: List[Dict[str, Any]] = []

    def number_of(function: str, file: str, line: int) -> int:
        key = (function, file, line)
        if key not in index:
            index[key] = len(frames)
            frame: Dict[str, Any] = {"name": function or "[unknown]"}
            if file:
                frame["file"] = file
            if line:
                frame["line"] = line
            frames.append(frame)
        return index[key]

    samples: List[List[int]] = []
    weights: List[int] = []
    for stack, weight in _weights_by_stack(snapshot):
        calls = [number_of(frame.function, frame.file, frame.line) for frame in reversed(stack)]
        samples.append(calls or [number_of("[unknown]", "", 0)])
        weights.append(weight)
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "version": "0.0.1",
        "name": "Memory Profile",
        "exporter": f"memtap {VERSION}",
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [
            {
                "type": "sampled",
                "name": "Memory Profile",
                "unit": "bytes",
                "startValue": 0,
                "endValue": snapshot.estimated_heap_bytes,
                "samples": samples,
                "weights": weights,
            }
        ],
    }
    _replace(path, json.dumps(document))
