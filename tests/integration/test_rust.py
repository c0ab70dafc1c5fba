"""Rust programs: recorded, and their names readable."""

import re

import pytest
from conftest import frame_function


@pytest.mark.parametrize("mangling", ["legacy", "v0"])
def test_rust_names_are_demangled(record, target, mangling):
    recording = record(target(f"rusty_{mangling}"))
    recording.assert_truth()
    names = {frame_function(frame) for row in recording.report("leaks") for frame in row["stack"]}
    cases = {name for name in names if "case_" in name}
    assert any(re.fullmatch(r"rusty(\[\w+\])?::outer::case_plain_function", name) for name in cases), cases
    assert any(re.search(r"Holder.*::case_generic_method$", name) for name in cases), cases
    assert not any(name.startswith(("_ZN", "_R")) for name in names)
