"""Whose memory a call stack is: the test's, the test runner's, or something that is filled once and then stays.

Decides, frame by frame from the outermost in (an inner frame knows more than an outer one): a frame of the program is the
program's, one of the runner (pytest, its plugins, unittest's own steps, memtap) is the runner's, and the standard library and
native code belong to who called them. What is made while a module is imported, and what the caches of the standard library
keep, is "first use": it is paid once, by whichever test comes first, and named instead of being called a leak.

The runner is where the running pytest lies, not a name: in a checkout of pytest or pluggy itself nothing of them is excluded.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

RUNNER_MODULES = ("pytest", "_pytest", "pluggy", "xdist", "execnet", "hypothesis", "_hypothesis_pytestplugin", "pytest_timeout",
                  "pytest_asyncio", "pytest_subtests", "anyio.pytest_plugin")
IMPORTS = "imports"
WINDOW = "recorded_call"  # the function around the test's own; see _call.py

# (end of the file's name, function) of the standard library's caches, all of them bounded or as large as the program.
_CACHES = {
    ("re.py", "_compile"): "re", ("re/__init__.py", "_compile"): "re", ("re.py", "_compile_repl"): "re",
    ("re/__init__.py", "_compile_template"): "re", ("linecache.py", "updatecache"): "linecache",
    ("linecache.py", "lazycache"): "linecache", ("logging/__init__.py", "isEnabledFor"): "logging",
    ("encodings/__init__.py", "search_function"): "encodings", ("fnmatch.py", "_compile_pattern"): "fnmatch",
    ("tokenize.py", "_compile"): "tokenize", ("inspect.py", "getmodule"): "inspect", ("_strptime.py", "_strptime"): "strptime",
    ("abc.py", "__instancecheck__"): "abc", ("abc.py", "__subclasscheck__"): "abc", ("abc>", "__instancecheck__"): "abc",
    ("abc>", "__subclasscheck__"): "abc", ("functools.py", "dispatch"): "singledispatch", ("copyreg.py", "_slotnames"): "copyreg",
    ("typing.py", "inner"): "typing", ("mimetypes.py", "init"): "mimetypes", ("sysconfig.py", "_init_config_vars"): "sysconfig",
    ("sysconfig/__init__.py", "_init_config_vars"): "sysconfig", ("locale.py", "normalize"): "locale",
}
_UNITTEST = re.compile(r"/unittest/(case|async_case|suite)\.py$")
_IMPORT_FILES = ("<frozen importlib", "<frozen zipimport")
_LOG_RECORD = ("makeRecord", "getMessage")


class State(NamedTuple):
    """What is known of a frame: the runner's own? first_use: "imports", "cache of re" …; None: neither."""

    runner: bool
    first_use: Optional[str]
    reloading: bool = False


_UNSEEN: Any = object()
PROGRAM = State(False, None)
RUNNER = State(True, None)


def _folder_of(name: str) -> Optional[str]:
    """Where a loaded module's files lie: its folder, or its file."""
    file: Optional[str] = getattr(sys.modules.get(name), "__file__", None)
    if not file:
        return None
    return os.path.dirname(file) + os.sep if os.path.basename(file) == "__init__.py" else file


class Origins:
    """Tells the frames of this process apart; root: the project under test, whose own files are never the runner's; modules: what
    the runner consists of, beside memtap."""

    def __init__(self, root: str, modules: Sequence[str] = RUNNER_MODULES) -> None:
        self._root = os.path.join(os.path.realpath(root), "")
        import sysconfig  # late: a test run that records nothing pays nothing

        own = os.path.dirname(os.path.abspath(__file__)) + os.sep
        folders = [folder for folder in map(_folder_of, modules) if folder and not self._is_tested(folder)]
        self._runner = tuple({own, os.path.join(os.path.realpath(own), ""), *folders})
        paths = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib")} | {os.path.dirname(os.__file__)}
        self._library = tuple(os.path.join(path, "") for path in paths)
        self._known: Dict[Optional[str], Optional[bool]] = {}

    def is_project(self, file: Optional[str]) -> bool:
        """Is this a file of the project under test, not of an installed package?"""
        return file is not None and file.startswith(self._root) and "-packages/" not in file

    def short(self, file: str) -> str:
        """The file's name from the project, the installed package or the standard library on."""
        if "-packages/" in file:
            return file.rpartition("-packages/")[2]
        return next((file[len(folder):] for folder in (self._root, *self._library) if file.startswith(folder)), file)

    def _is_tested(self, folder: str) -> bool:
        inside = os.path.join(os.path.realpath(folder), "")
        return inside.startswith(self._root) and "site-packages" not in inside[len(self._root):]

    def is_runner(self, file: Optional[str]) -> Optional[bool]:
        """True: a file of the runner's; False: the program's; None: neither (the standard library's, native, generated)."""
        if file not in self._known:
            self._known[file] = self._look_at(file or "")
        return self._known[file]

    def _look_at(self, file: str) -> Optional[bool]:
        if file.startswith(self._runner) or _UNITTEST.search(file):
            return True
        if file.startswith("<doctest "):
            return False
        if not is_python(file) or file.startswith("<"):
            return None
        in_library = file.startswith(self._library) and "-packages/" not in file
        return None if in_library else False

    def inner(self, outer: State, function: str, file: Optional[str]) -> Tuple[State, State]:
        """Of a frame called from `outer`: what it allocates itself, and what those it calls begin with."""
        is_runner = self._known.get(file, _UNSEEN)
        if is_runner is _UNSEEN:
            is_runner = self.is_runner(file)
        if is_runner:  # most frames of a short stack
            return (RUNNER, PROGRAM) if function.endswith(WINDOW) else (RUNNER, RUNNER)
        name = function.rpartition(".")[2]
        runner = outer.runner if is_runner is None else is_runner
        if is_runner is None and name in _LOG_RECORD and (file or "").endswith("logging/__init__.py"):
            runner = True  # pytest keeps every record until the test's report
        reloading = outer.reloading or (name == "reload" and (file or "").endswith("importlib/__init__.py"))
        state = State(runner, outer.first_use or _first_use(name, function, file or "", reloading), reloading)
        return state, state


def is_python(file: Optional[str]) -> bool:
    """Is this the file of a Python frame?"""
    return file is not None and (file.endswith((".py", ".pyw", ".pyx")) or file.startswith("<"))


def _first_use(name: str, function: str, file: str, reloading: bool) -> Optional[str]:
    if file.startswith(_IMPORT_FILES) or function.startswith("import "):
        return None if reloading else IMPORTS
    parts = file.rsplit("/", 2)
    cache = _CACHES.get((parts[-1], name)) or _CACHES.get(("/".join(parts[-2:]), name))
    if cache is None and file.startswith("<frozen "):
        cache = _CACHES.get((file[len("<frozen "):], name))
    return f"cache of {cache}" if cache else None


def stack_rows(nodes: List[Dict[str, Any]], origins: Origins) -> List[Dict[str, Any]]:
    """The rows of a call tree (Trace.tree, parents first) as one row a call stack, largest first.

    function, file, line: where the memory was asked for, the innermost Python frame if there is one; owner: the innermost
    frame of the project, else of an installed package, else the same; bytes, count; stack, innermost frame first; runner;
    first_use.
    """
    states: Dict[Any, State] = {}
    known: Dict[Any, Dict[str, Any]] = {}
    rows = []
    for node in nodes:
        number, parent = node["id"], node["parent"]
        known[number] = node
        own = states[number] = PROGRAM
        if parent is not None:
            own, states[number] = origins.inner(states[parent], node["function"] or "", node["file"])
        if node["self_bytes"] > 0 or node["self_count"] > 0:
            rows.append(_row(known, node, own, origins))
    rows.sort(key=lambda row: -row["bytes"])
    return rows


def _row(known: Dict[Any, Dict[str, Any]], node: Dict[str, Any], state: State, origins: Origins) -> Dict[str, Any]:
    stack = []
    at = node
    while at["parent"] is not None:
        stack.append({"function": at["function"], "file": at["file"], "line": at["line"]})
        at = known[at["parent"]]
    place: Dict[str, Any] = next((frame for frame in stack if is_python(frame["file"])), stack[0] if stack else {})
    owner = next((frame for frame in stack if origins.is_project(frame["file"])), None) or next(
        (frame for frame in stack if origins.is_runner(frame["file"]) is False), place)
    return {"function": place.get("function"), "file": place.get("file"), "line": place.get("line"), "owner": owner,
            "bytes": node["self_bytes"], "count": node["self_count"], "stack": stack, "runner": state.runner,
            "first_use": state.first_use}


def sites(rows: List[Dict[str, Any]], most: int) -> List[Dict[str, Any]]:
    """The rows by place instead of by stack, the largest `most`: function, file and line of the owner, by (the same of where
    the memory was asked for), bytes, count."""
    found: Dict[Any, Dict[str, Any]] = {}
    for row in rows:
        by = {key: row[key] for key in ("function", "file", "line")}
        key = (*row["owner"].values(), *by.values())
        site = found.setdefault(key, {**row["owner"], "by": by, "bytes": 0, "count": 0})
        site["bytes"] += row["bytes"]
        site["count"] += row["count"]
    return sorted(found.values(), key=lambda site: -site["bytes"])[:most]
