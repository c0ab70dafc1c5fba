"""`memtap.torch`: what a torch training loop holds, as rows of the recording of this process.

    import memtap
    import memtap.torch

    memtap.torch.enable()                 # before or after torch is imported
    with memtap.record("train.mtap"):     # or: memtap run --mode sample -o train.mtap -- python3 train.py
        train()

    python3 -m memtap.torch train.py      # enabled without a change of the program; under memtap run, too

Each call of an outermost module and of an optimizer's step gives two rows of `python.torch_trace` (`memtap query`): when it
begins and when it ends, with the memory of tensors at that moment. Inner modules have rows in one step of 1/rate.

Decides: torch's global hooks and nothing else: no module, optimizer or class of the program is changed, except that optimizers
of torch before 2.0, which has no hooks for them, get another `step` for as long as this is enabled. torch is never imported
here, and not asked for device memory before the program has initialised the device. Rows are made in C (ext/torch.c).
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import os
import runpy
import sys
import threading
import weakref
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from memtap import _agent, _memtap

__all__ = ["Tracing", "disable", "enable", "step"]

DEFAULT_RATE = 0.05
_Amounts = Tuple[str, int, int, int, int]


class Settings(NamedTuple):
    """What MEMTAP_TORCH says: `[on|off|RATE][,rate=RATE][,micro_batches=N]`."""

    enabled: bool = True
    rate: float = DEFAULT_RATE
    micro_batches: int = 1

    @classmethod
    def parse(cls, text: str) -> Settings:
        """ValueError: text is no such thing."""
        settings = cls()
        for number, word in enumerate(filter(None, (part.strip() for part in text.split(",")))):
            key, equals, value = word.partition("=")
            if not equals and number == 0:
                settings = settings._first(word)
            elif key == "rate":
                settings = settings._replace(rate=_rate_of(value))
            elif key == "micro_batches":
                settings = settings._replace(micro_batches=_count_of(value))
            else:
                raise ValueError(f"MEMTAP_TORCH: {word!r} is not known: write on, off or a rate, then rate=0…1, micro_batches=N")
        return settings

    def _first(self, word: str) -> Settings:
        if word in ("on", "off"):
            return self._replace(enabled=word == "on")
        return self._replace(rate=_rate_of(word))


def _rate_of(value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is the share of steps in which inner modules have rows, from 0 to 1, not {value!r}")
    return rate


def _count_of(value: Any) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ValueError(f"micro_batches is how many calls of the optimizer make a step, 1 or more, not {value!r}")
    return count


# ---- names ----------------------------------------------------------------------------------------------------------


class _Names:
    """What modules and optimizers are called: an outermost module and an optimizer by class, the second of a class with _1 behind
    it, as torch.fx does; a module inside another by its dotted name from there."""

    def __init__(self) -> None:
        self._holders: Dict[str, Any] = {}  # of a class's name, by weak reference

    def __call__(self, thing: Any, outermost: Optional[str]) -> str:
        if outermost is not None:
            return self._inner(thing, outermost)
        name = self._free(thing)
        self._holders[name] = weakref.ref(thing)
        if hasattr(thing, "named_modules"):
            self._name_inner(thing, name)
        return name

    def _free(self, thing: Any) -> str:
        base = type(thing).__name__
        name, number = base, 0
        while name in self._holders and self._holders[name]() not in (None, thing):
            number += 1
            name = f"{base}_{number}"
        return name

    @staticmethod
    def _name_inner(outermost: Any, name: str) -> None:
        for path, module in outermost.named_modules():
            if path:
                _memtap.torch_name(module, f"{name}.{path}")

    def _inner(self, module: Any, outermost: str) -> str:
        """One that has come since, or that its module does not know of."""
        holder = self._holders.get(outermost.split(".", 1)[0])
        root = holder() if holder is not None else None
        for path, found in root.named_modules() if root is not None else ():
            if found is module:
                return f"{outermost.split('.', 1)[0]}.{path}"
        return f"{outermost}.{type(module).__name__}"


# ---- memory of a device ---------------------------------------------------------------------------------------------


def _device() -> Optional[Callable[[], _Amounts]]:
    """Who reads the memory of the device that the program uses; None: it uses none."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    if hasattr(cuda, "memory_stats_as_nested_dict"):
        return functools.partial(_cuda_at_once, cuda)
    return functools.partial(_cuda, cuda)


def _cuda(cuda: Any) -> _Amounts:
    return ("cuda", cuda.memory_allocated(), cuda.max_memory_allocated(), cuda.memory_reserved(), cuda.max_memory_reserved())


def _cuda_at_once(cuda: Any) -> _Amounts:
    """The same four numbers by one call; the current device's."""
    stats = cuda.memory_stats_as_nested_dict()
    if not stats:
        return ("cuda", 0, 0, 0, 0)
    allocated, reserved = stats["allocated_bytes"]["all"], stats["reserved_bytes"]["all"]
    return ("cuda", allocated["current"], allocated["peak"], reserved["current"], reserved["peak"])


# ---- the process ----------------------------------------------------------------------------------------------------


def _rank() -> Tuple[str, str, str]:
    """rank, world size, role; empty: not known."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        rank, world_size = str(distributed.get_rank()), str(distributed.get_world_size())
    else:
        rank, world_size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    return rank, world_size, os.environ.get("ROLE_NAME", "")


def _recording_begins() -> None:
    for key, value in zip(("rank", "world_size", "role"), _rank()):
        if value:
            _memtap.torch_note(f"torch.{key}", value)
    if _tracing is not None:
        _memtap.torch_note("torch.micro_batches", str(_tracing.settings.micro_batches))


# ---- hooks ----------------------------------------------------------------------------------------------------------


def _optimizer_hooks(optimizer: Any) -> List[Callable[[], None]]:
    """Puts the hooks of optimizers in place; returns what takes them back."""
    if hasattr(optimizer, "register_optimizer_step_pre_hook"):
        return [optimizer.register_optimizer_step_pre_hook(_memtap.torch_pre_step).remove,
                optimizer.register_optimizer_step_post_hook(_memtap.torch_post_step).remove]
    return [_WrappedSteps(optimizer.Optimizer).remove]


class _WrappedSteps:
    """Optimizers of torch before 2.0: the `step` of each class, also of those to come (torch itself looks at a class's `step` when the
    first of it is made). An optimizer that a scheduler of learning rates has got hold of before keeps the old one."""

    def __init__(self, base: Any) -> None:
        self._base = base
        self._old: List[Tuple[Any, Any]] = []
        self._stepping: List[int] = []
        self._look = base._hook_for_profile
        look = self._look

        def hook_for_profile(optimizer: Any) -> None:
            look(optimizer)
            self._wrap(type(optimizer))

        base._hook_for_profile = hook_for_profile
        self._wrap_all(base)

    def _wrap_all(self, cls: Any) -> None:
        for known in cls.__subclasses__():
            self._wrap(known)
            self._wrap_all(known)

    def _wrap(self, cls: Any) -> None:
        step = cls.__dict__.get("step")
        if step is None or getattr(step, "_memtap", None) is self:
            return

        @functools.wraps(step)
        def traced(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            if id(optimizer) in self._stepping:  # a class's step that calls its base's
                return step(optimizer, *args, **kwargs)
            self._stepping.append(id(optimizer))
            try:
                _memtap.torch_pre_step(optimizer, args, kwargs)
                result = step(optimizer, *args, **kwargs)
                _memtap.torch_post_step(optimizer, args, kwargs)
                return result
            finally:
                self._stepping.remove(id(optimizer))

        traced._memtap = self  # type: ignore[attr-defined]
        self._old.append((cls, step))
        cls.step = traced

    def remove(self) -> None:
        self._base._hook_for_profile = self._look
        for cls, step in self._old:
            if getattr(cls.__dict__.get("step"), "_memtap", None) is self:
                cls.step = step
        self._old.clear()


class Tracing:
    """Rows are being made. As context manager, until it is left."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._undo: List[Callable[[], None]] = []
        self._wait: Optional[_TorchComes] = None

    def _begin(self) -> None:
        if "torch" in sys.modules:
            self._hook()
        else:
            self._wait = _TorchComes(self._hook)
            sys.meta_path.insert(0, self._wait)

    def _hook(self) -> None:
        modules = importlib.import_module("torch.nn.modules.module")
        optimizer = importlib.import_module("torch.optim.optimizer")
        rate = self.settings.rate
        _memtap.torch_begin(_Names(), _recording_begins, _device, round(1 / rate) if rate > 0 else 0, self.settings.micro_batches)
        self._undo = [modules.register_module_forward_pre_hook(_memtap.torch_pre_forward).remove,
                      modules.register_module_forward_hook(_memtap.torch_post_forward).remove,
                      *_optimizer_hooks(optimizer)]

    @property
    def active(self) -> bool:
        """Are the hooks in place? False: disabled, or torch has not been imported yet."""
        return bool(self._undo)

    def disable(self) -> None:
        """Takes the hooks back; torch is then as it was."""
        global _tracing
        for undo in self._undo:
            undo()
        self._undo = []
        if self._wait is not None:
            self._wait.remove()
            self._wait = None
        if _tracing is self:
            _tracing = None
            _memtap.torch_end()

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.disable()


class _TorchComes(importlib.abc.MetaPathFinder):
    """Calls back when torch has been imported, and is gone then. Who only looks for torch (importlib.util.find_spec) changes nothing."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._here = threading.local()  # .looking: this thread asks the finders behind this one

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def imported(self) -> None:
        if self in sys.meta_path:  # else it was disabled, or another spec of torch was executed before
            self.remove()
            self._then()

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Any:
        if name != "torch" or getattr(self._here, "looking", False):
            return None
        self._here.looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._here.looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenLoader(spec.loader, self.imported)
        return spec


class _ThenLoader(importlib.abc.Loader):
    def __init__(self, loader: Any, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


# ---- the module's functions -----------------------------------------------------------------------------------------

_tracing: Optional[Tracing] = None


def enable(rate: Optional[float] = None, micro_batches: Optional[int] = None) -> Tracing:
    """Makes rows from here on, or from when torch is imported: in whatever records this process (`memtap run`, `memtap.record`,
    `memtap.memprof`, `memtap attach`). Enabled again: with the new settings.

    rate: the share of steps in which inner modules have rows, too (one step in 1/rate, the first included); 0: in none. Default 0.05.
    micro_batches: how many calls of the optimizer make a step, where a framework calls it for each micro-batch. Default 1.
    Both as MEMTAP_TORCH says (`0.1,micro_batches=4`) where they are not given. ValueError: not such a number.
    """
    global _tracing
    settings = Settings.parse(os.environ.get("MEMTAP_TORCH", ""))._replace(enabled=True)
    if rate is not None:
        settings = settings._replace(rate=_rate_of(rate))
    if micro_batches is not None:
        settings = settings._replace(micro_batches=_count_of(micro_batches))
    _agent.load()
    disable()
    _tracing = Tracing(settings)
    _tracing._begin()
    return _tracing


def disable() -> None:
    """Makes no more rows, and takes the hooks back; does nothing when none are in place."""
    if _tracing is not None:
        _tracing.disable()


def step() -> None:
    """A step of the loop has ended. For loops without an optimizer, or whose steps are not its: from the first call on, steps are what is
    between two calls. Also `memtap.step`. Does nothing unless enabled."""
    _memtap.torch_step()


USAGE = """usage: python3 -m memtap.torch PROGRAM.py [ARGUMENT…]
       python3 -m memtap.torch -m MODULE [ARGUMENT…]

Runs a program with memtap.torch enabled. What records it is another's: memtap run -o train.mtap -- python3 -m memtap.torch train.py
MEMTAP_TORCH: [on|off|RATE][,micro_batches=N], RATE being the share of steps in which inner modules have rows (0.05)."""


def _main(words: List[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        sys.exit(0 if words else 2)
    try:
        settings = Settings.parse(os.environ.get("MEMTAP_TORCH", ""))
    except ValueError as error:
        sys.exit(f"memtap: {error}")
    import memtap.torch as itself  # this file is __main__

    if settings.enabled:
        itself.enable()
    if words[0] == "-m" and len(words) > 1:
        sys.argv = words[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _main(sys.argv[1:])
