"""Ten minutes of everything at once in one process (soak_program.py): nothing is wrong at any time, and nothing grows.

MEMTAP_SOAK_S shortens it; MEMTAP_STRESS_SEED repeats one. Every interpreter found takes its turn in equal parts, so that the
whole lasts as long as was asked for.
"""

import json
import os
import random
import subprocess

import pytest
from conftest import MEMTAP, VERSIONS, find_interpreter

pytestmark = pytest.mark.stress
SECONDS = float(os.environ.get("MEMTAP_SOAK_S", "600"))
SEED = int(os.environ.get("MEMTAP_STRESS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "soak_program.py")
PACKAGE = os.environ.get("MEMTAP_PYTHONPATH", str(MEMTAP.parent.parent / "python"))
FOUND = [version for version in ("debian", *VERSIONS) if find_interpreter(version)]


@pytest.mark.timeout(SECONDS / len(FOUND) + 300)
@pytest.mark.parametrize("version", FOUND)
def test_a5_19_a_busy_process_profiles_itself_for_long(version, tmp_path):
    """RSS is compared with that after a third of the time, in which every kind of work has been done; 24 MiB are for the churn, whose
    live set wanders."""
    print(f"seed {SEED}")
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": PACKAGE, "TMPDIR": str(tmp_path / "tmp"), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    argv = [str(find_interpreter(version)), PROGRAM, str(SECONDS / len(FOUND)), str(SEED), str(tmp_path)]
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    found = json.loads(result.stdout)
    print(json.dumps(found))
    assert found["wrong"] == []
    assert min(found["done"][name] for name in ("looks", "restart", "fork", "record", "program", "threads")) >= 3
    early, late = found["marks"]
    assert late["rss_bytes"] - early["rss_bytes"] < 24 << 20
    assert late["mappings"] - early["mappings"] <= 40 and late["descriptors"] <= early["descriptors"]
    assert late["files"] <= 1 and os.listdir(tmp_path / "tmp") == []
