"""The screens over a made-up daemon: what they show, escape and change, and what they do not."""

import json
import re

import pytest

from tests.page.asking import app, ask
from tests.page.desks import NOW, FakeDesk, job, settlement
from tidewatt.scheduler.decision_schema import BackupView, DecisionView
from tidewatt.scheduler.page.desk import Visitor
from tidewatt.scheduler.page.templating import STATIC
from tidewatt.scheduler.page.wording import coded
from tidewatt.scheduler.request_schema import SubmitRequest

SCREENS = (
    "/",
    "/jobs",
    "/submit",
    "/savings",
    "/regions",
    "/rules",
    "/system",
    "/login",
    "/page/now",
    "/page/room",
)
HOSTILE = '"><script>alert(1)</script>\u202e{{ 7*7 }}'


@pytest.mark.parametrize("number", [0, 1, 300])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_is_there_with_no_job_one_and_many(screen: str, number: int) -> None:
    answer = ask(app(FakeDesk([job(n + 1) for n in range(number)])), screen)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("screen", [*SCREENS, "/jobs/1", "/page/jobs/1/live", "/page/jobs/1/log"])
def test_no_screen_has_inline_script_or_style_or_an_address_elsewhere(screen: str) -> None:
    text = ask(app(FakeDesk([job(state="running")])), screen).text
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", text)
    assert not re.search(r"\s(style|on[a-z]+)=", text)
    assert not re.search(r"(src|href|action|hx-[a-z]+)=\"(https?:|//)", text)


@pytest.mark.parametrize("screen", ["/", "/jobs", "/jobs/1", "/page/room"])
def test_what_people_type_is_text_and_nothing_else(screen: str) -> None:
    hostile = job(name=HOSTILE, user=HOSTILE, project=HOSTILE, reason=HOSTILE, argv=(HOSTILE,), cwd=HOSTILE)
    text = ask(app(FakeDesk([hostile], output=f"\x1b[31m{HOSTILE}\x1b]0;title\x07")), screen).text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7*7 }}" in text


def test_rules_cannot_close_the_field_that_they_are_edited_in() -> None:
    text = ask(app(FakeDesk()), "/rules").text
    assert "</textarea><script>" not in text
    assert text.count("</textarea>") == 1


def test_a_negative_saving_is_shown_as_negative() -> None:
    desk = FakeDesk([job(state="done", settlement=settlement(-1.5))])
    assert "-1.50 g" in ask(app(desk), "/jobs").text
    assert "-1.50 g" in ask(app(desk), "/jobs/1").text


def test_an_unverified_job_claims_no_saving() -> None:
    text = ask(app(FakeDesk([job(state="done", settlement=settlement(3.0, "unverified"))])), "/jobs").text
    assert "unverified" in text
    assert "3.00 g" not in text


def test_what_is_not_known_is_never_zero() -> None:
    text = ask(
        app(FakeDesk([job(state="done", settlement=settlement(None))], intensity=None)), "/jobs/1"
    ).text
    assert "not known" in text
    now = ask(app(FakeDesk(intensity=None)), "/").text
    assert "not known" in now
    assert '0 <span class="unit">g/kWh' not in now


def test_a_list_is_cut_into_pages_that_follow_each_other() -> None:
    page = app(FakeDesk([job(n + 1) for n in range(120)]))
    seen: list[int] = []
    address = "/jobs"
    for _ in range(3):
        text = ask(page, address).text
        seen += [int(each) for each in re.findall(r'<span class="key">(\d+)</span>', text)]
        following = re.search(r'href="([^"]+)" rel="next"', text)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == list(range(120, 0, -1))
    assert address == ""


def test_the_chart_has_the_curve_its_band_and_the_queue() -> None:
    found = json.loads(ask(app(FakeDesk([job()])), "/page/now.json").text)
    assert found["curves"][0]["points"][0][2:] == [240.0, None, None]
    assert found["curves"][0]["points"][1][2:] == [200, 150, 300]
    assert [bar["key"] for bar in found["bars"]] == ["1"]


def test_the_preview_says_when_a_job_would_run_and_what_that_saves() -> None:
    form = {"command": "python train.py", "folder": "/home", "duration": "1h", "finish_by": "12h"}
    text = ask(app(FakeDesk()), "/plan-preview", form, hx_request="true").text
    assert "10.0 g less (33 %) than starting at once" in text


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("duration", "3", "has no unit"),
        ("duration", "-2h", "is not a duration"),
        ("finish_by", "whenever", "the deadline"),
        ("gpus", "two", "is no number of GPUs"),
        ("gpus", "-1", "greater than or equal to 0"),
        ("command", "python 'train.py", "close what you have opened"),
        ("memory", "lots", "lots"),
        ("pausing", "maybe", "from the list"),
    ],
)
def test_a_mistake_gets_its_sentence_beside_its_field(field: str, typed: str, sentence: str) -> None:
    desk = FakeDesk()
    form = {"command": "python train.py", "folder": "/home", "duration": "1h", field: typed}
    for address in ("/plan-preview", "/submit"):
        answer = ask(app(desk), address, form)
        beside = re.search(rf'id="error-{field}"[^>]*>([^<]*)<', answer.text)
        assert beside is not None
        assert sentence.lower() in beside[1].lower()
    assert desk.done == []


def test_a_whole_form_is_submitted_once_and_leads_to_the_job() -> None:
    desk = FakeDesk()
    form = {"command": "python train.py '--note=a b'", "folder": "/home", "duration": "90m", "gpus": "1"}
    answer = ask(app(desk), "/submit", form)
    assert (answer.status, answer.headers["location"]) == (303, "/jobs/9")
    ((verb, request),) = desk.done
    assert verb == "submit"
    assert isinstance(request, SubmitRequest)
    assert request.argv == ("python", "train.py", "--note=a b")
    assert (request.duration_s, request.gpus) == (5400, 1)


@pytest.mark.parametrize("field", ["command", "folder"])
def test_a_job_without_command_or_folder_is_not_submitted(field: str) -> None:
    desk = FakeDesk()
    answer = ask(app(desk), "/submit", {"command": "true", "folder": "/home"} | {field: " "})
    assert answer.status == 422
    assert f"The {field} is missing" in answer.text
    assert desk.done == []


@pytest.mark.parametrize(
    ("address", "form", "done"),
    [
        ("/jobs/1/cancel", {}, ("cancel", "1")),
        ("/jobs/1/hold", {}, ("hold", "1")),
        ("/regions/undrain", {"what": "here"}, ("undrain", "here")),
        ("/regions/shifting", {"on": "no"}, ("shift", False)),
        ("/regions/shifting", {"on": "yes"}, ("shift", True)),
        ("/rules", {"text": "x", "digest": "abc"}, ("rules", "x", "abc")),
    ],
)
def test_a_button_does_what_it_says_and_sends_the_browser_on(
    address: str, form: dict[str, str], done: tuple[object, ...]
) -> None:
    desk = FakeDesk([job()])
    assert ask(app(desk), address, form).status == 303
    assert desk.done == [done]


@pytest.mark.parametrize(
    "address", ["/jobs/1/cancel", "/regions/drain", "/regions/shifting", "/plan-preview"]
)
def test_nothing_changes_by_opening_a_link(address: str) -> None:
    desk = FakeDesk([job()])
    assert ask(app(desk), address).status in (404, 405)
    assert desk.done == []


def test_an_unknown_verb_is_refused() -> None:
    desk = FakeDesk([job()])
    assert ask(app(desk), "/jobs/1/explode", {}).status == 422
    assert desk.done == []


def test_every_form_that_changes_something_carries_its_secret() -> None:
    page = app(FakeDesk([job(1), job(2, "held"), job(3, "running", pausable=True)]))
    for screen in ("/submit", "/regions", "/rules", "/jobs/1", "/jobs/2", "/jobs/3"):
        text = ask(page, screen).text
        forms = re.findall(r"<form method=\"post\".*?</form>", text, re.S)
        assert forms
        assert all('name="csrf" value="secret"' in form for form in forms)


def test_who_is_no_operator_sees_no_operators_buttons() -> None:
    page = app(FakeDesk([job()]), Visitor("eve", operator=False, csrf="secret", submits=False))
    assert "Drain" not in ask(page, "/regions").text
    assert "Cancel" not in ask(page, "/jobs/1").text


def test_a_refusal_is_a_screen_with_one_sentence() -> None:
    answer = ask(app(FakeDesk()), "/jobs/77")
    assert answer.status == 422
    assert "There is no job 77" in answer.text


def test_rules_that_cannot_be_taken_stay_in_the_field_with_the_reason() -> None:
    answer = ask(app(FakeDesk()), "/rules/check", {"text": "broken = ", "digest": "abc"})
    assert answer.status == 422
    assert "line 1 is broken" in answer.text
    assert "broken = " in answer.text
    assert "Put in force" not in answer.text


def test_rules_are_tried_on_the_past_and_what_would_change_is_told() -> None:
    page = app(FakeDesk())
    text = ask(page, "/rules/try", {"text": "fine", "digest": "abc"}).text
    assert "What these rules would have changed" in text
    assert "100 g less" in text
    assert "What people would have done." in text
    assert ask(page, "/rules/try", {"text": "broken = ", "digest": "abc"}).status == 422


def test_rules_are_put_in_force_only_after_they_were_checked() -> None:
    page = app(FakeDesk())
    assert "Put in force" not in ask(page, "/rules").text
    assert "Put in force" in ask(page, "/rules/check", {"text": "fine", "digest": "abc"}).text


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir()))
def test_files_are_kept_by_browsers_until_they_change(name: str) -> None:
    answer = ask(app(FakeDesk()), f"/static/any/{name}")
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["..%2Fviews.py", "nothing.js", ".hidden"])
def test_no_other_file_is_given_out(name: str) -> None:
    assert ask(app(FakeDesk()), f"/static/any/{name}").status == 404


def test_the_screen_of_a_job_comes_anew_when_it_has_ended() -> None:
    page = app(FakeDesk([job(1, "running"), job(2, "done")]))
    assert "hx-refresh" not in ask(page, "/page/jobs/1/live").headers
    assert ask(page, "/page/jobs/2/live").headers["hx-refresh"] == "true"


def test_the_output_of_a_job_that_still_waits_is_looked_for_again() -> None:
    text = ask(app(FakeDesk([job()])), "/jobs/1").text
    assert 'hx-get="/page/jobs/1/log"' in text


def test_an_operator_sees_what_was_decided_and_undoes_it_where_it_can_be_undone() -> None:
    drained = DecisionView(
        number=7, time=NOW, user="ada", name="drain:eu", sentence=HOSTILE, before="in use",
        after="drained: fans", undoes=0, undone=0, holds=True, fixed="",
    )  # fmt: skip
    old = drained.model_copy(update={"number": 3, "fixed": "decision 5 has undone it"})
    desk = FakeDesk([], decided=(drained, old), backup=BackupView(time=NOW, path="/b.tar", events_since=2))
    page = app(desk)
    text = ask(page, "/system").text
    assert 'name="number" value="7"' in text
    assert 'name="number" value="3"' not in text
    assert "<script>alert" not in text
    assert "2 events of the ledger that it does not hold" in text
    assert ask(page, "/system/undo", {"number": "7", "csrf": "secret"}).status == 303
    assert desk.done == [("undo", 7)]
    assert ask(page, "/system/undo", {"number": "9" * 30, "csrf": "secret"}).status == 422


def test_who_is_no_operator_sees_neither_decisions_nor_backups() -> None:
    text = ask(app(FakeDesk([]), Visitor("bob", operator=False)), "/system").text
    assert "What was decided" not in text
    assert "Backup" not in text


def test_history_and_refusals_speak_in_words() -> None:
    found = job(7, "done", events=({"time": NOW, "kind": "attempt.launching", "reason": "", "detail": {}},))
    text = ask(app(FakeDesk([found])), "/jobs/7").text
    assert "is being started" in text
    assert "attempt.launching" not in text
    assert "There is no job <code>&lt;b&gt;</code>" in coded("There is no job `<b>`")
    assert coded("an odd ` <b>") == "an odd ` &lt;b&gt;"


def test_account_that_is_not_settled_yet_does_not_say_that_no_zone_was_known() -> None:
    account = settlement(None, "none").model_copy(update={"ledgers": ()})
    text = ask(app(FakeDesk([job(8, "done", settlement=account)])), "/jobs/8").text
    assert "not known yet" in text
    assert "no zone was known" not in text
