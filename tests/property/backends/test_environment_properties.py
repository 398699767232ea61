"""Whatever is asked for, an operator's word stands."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from tidewatt.backends import environment

names = st.text("ABC_", min_size=1, max_size=4)
environs = st.dictionaries(names, st.text(max_size=5), max_size=6)
patterns = st.lists(st.text("ABC_*?", min_size=1, max_size=4), max_size=3)


@given(environs, st.lists(st.tuples(names, st.text(max_size=5))), st.booleans(), patterns)
def test_denied_names_are_never_kept(
    environ: dict[str, str], sets: list[tuple[str, str]], none: bool, deny: list[str]
) -> None:
    keep = [f"{name}={value}" for name, value in sets]
    kept = environment.select(environ, keep, none, deny)
    assert not [name for name in kept if any(fnmatchcase(name, pattern) for pattern in deny)]
    assert set(kept) <= set(environ) | {name for name, _ in sets}


@given(environs, st.data())
def test_only_the_names_given_are_kept(environ: dict[str, str], data: st.DataObject) -> None:
    keep = data.draw(st.lists(st.sampled_from(sorted(environ)), min_size=1)) if environ else []
    kept = environment.select(environ, keep, not keep, [])
    assert kept == {name: environ[name] for name in keep}
