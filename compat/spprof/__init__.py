"""spprof's names over memtap: `spprof.memprof` is memtap.memprof; `start` and `stop` are a small sampler of Python stacks.

    import spprof
    import spprof.memprof as memprof
    spprof.start(interval_ms=10)
    memprof.start(sampling_rate_kb=512)
"""

from spprof._cpu import Profile, is_active, start, stop

__all__ = ["Profile", "is_active", "start", "stop"]
