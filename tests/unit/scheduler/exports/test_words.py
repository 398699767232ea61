"""Words that exports have in common."""

from tidewatt.scheduler.exports.words import few


def test_each_word_is_named_once_and_empty_ones_are_left_out() -> None:
    assert few(["gpu measured", "", "gpu measured", "cpu modelled"], 3) == "gpu measured; cpu modelled"
    assert few([], 3) == ""


def test_words_beyond_the_first_few_are_counted() -> None:
    assert few("abcde", 3) == "a; b; c; and 2 more"
