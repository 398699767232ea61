"""The scripts on the page about hooks run as they stand there, and tell what the page says."""

import inspect
import re
from pathlib import Path

from tests.unit.backends.hooks.scripts import run, told
from tidewatt.backends import hooks

PAGE = Path(__file__).parents[3] / "docs" / "hooks.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_script_that_tells_what_it_does(tmp_path: Path) -> None:
    run(SNIPPETS[0], tmp_path)
    found = told(tmp_path)
    assert found.counts == {"steps": 6, "samples": 12, "epochs": 2, "parameters": 2}
    assert found.checkpoints == ()


def test_script_saves_its_work_when_a_pause_is_coming(tmp_path: Path) -> None:
    (tmp_path / "pause.json").write_text('{"at_ms": 0}')
    run(SNIPPETS[0], tmp_path)
    assert [step for _, step in told(tmp_path).checkpoints] == list(range(6))


def test_plain_loop_is_counted(tmp_path: Path) -> None:
    run(SNIPPETS[1], tmp_path)
    assert told(tmp_path).counts == {"steps": 6, "samples": 14, "epochs": 2}


def test_scripts_run_without_tidewatt_listening(tmp_path: Path) -> None:
    assert len(SNIPPETS) == 2
    for snippet in SNIPPETS:
        assert run(snippet, None, cwd=tmp_path) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_page_has_every_word() -> None:
    words = {name for name in hooks.__all__ if inspect.isfunction(getattr(hooks, name))}
    assert words == set(hooks.__all__)
    assert {word for word in words if f"{word}(" not in PAGE.read_text()} == set()


def test_callbacks_are_where_the_page_says() -> None:
    named = re.findall(r"from (tidewatt\.backends\.hooks\.\w+) import TidewattCallback", PAGE.read_text())
    assert set(named) == {f"tidewatt.backends.hooks.{name}" for name in ("hugging_face", "lightning")}
    for module in named:
        assert __import__(module, fromlist=["TidewattCallback"]).TidewattCallback
