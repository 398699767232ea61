"""The quick canonical form is byte for byte that of the standard's own implementation."""

import json
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.proof.canonical import LARGEST, canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-LARGEST, LARGEST) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_quick_form_is_the_standards_form(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)
    assert json.loads(canonical(value)) == value
