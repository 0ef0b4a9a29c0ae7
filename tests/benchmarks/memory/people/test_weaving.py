"""What every question of the benchmark may rely on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

from benchmarks.memory.people.model import JAPAN, KINDS, Benchmark, day_of
from benchmarks.memory.people.overlap import of_question
from benchmarks.memory.people.patterns import HERE, lives
from benchmarks.memory.people.periods import period
from benchmarks.memory.people.weaving import generate


def test_the_same_seed_makes_the_same_benchmark(people: Benchmark):
    """Figures of two days can be compared."""
    assert people == generate()


def test_another_seed_weaves_the_same_questions_otherwise(people: Benchmark):
    """What is asked is written by hand; only what stands around it is drawn."""
    other = generate(people.questions[0].asked_at)

    assert people.people != other.people
    assert [q.text for q in people.questions] == [q.text for q in other.questions]


def test_everybody_has_thirty_sessions_and_twenty_questions(people: Benchmark):
    """The promised size: 20 people or more, 80 questions of each kind."""
    assert {30} == {len(person.sessions) for person in people.people}
    assert 20 == len(people.people)
    assert dict.fromkeys(KINDS, 80) == Counter(question.kind for question in people.questions)
    assert {4} == set(Counter((question.person, question.kind) for question in people.questions).values())


def test_sessions_are_six_to_fourteen_turns_in_turn(people: Benchmark):
    """The user begins, and the assistant has the last word."""
    for person in people.people:
        for session in person.sessions:
            assert 6 <= len(session.turns) <= 14, session.name
            assert ["user", "assistant"] * (len(session.turns) // 2) == [turn.role for turn in session.turns]


def test_every_name_is_given_once(people: Benchmark):
    """No id of a turn, a session or a question means two of them."""
    turns = [turn.id for person in people.people for session in person.sessions for turn in session.turns]
    sessions = [session.name for person in people.people for session in person.sessions]
    questions = [question.id for question in people.questions]

    for names in (turns, sessions, questions):
        assert len(names) == len(set(names))


def test_no_session_repeats_another_one(people: Benchmark):
    """Of what a person says in a session, at least two lines are in none of their others; short replies come again."""
    for person in people.people:
        sessions = [{turn.text for turn in session.turns if turn.role == "user"} for session in person.sessions]
        counts = Counter(text for session in sessions for text in session)

        assert all(sum(counts[text] == 1 for text in session) >= 2 for session in sessions), person.name


def test_sessions_follow_each_other_over_a_year_before_the_questions(people: Benchmark):
    """Time goes forward, and nobody is asked about what they have not said yet."""
    for person in people.people:
        starts = [session.started_at for session in person.sessions]
        asked = [question.asked_at for question in people.questions if question.person == person.name]

        assert sorted(starts) == starts
        assert 330 <= (day_of(starts[-1]) - day_of(starts[0])).days <= 400, person.name
        assert person.sessions[-1].said_at(14) < min(asked)


def test_days_are_the_same_in_japan_and_in_utc(people: Benchmark):
    """A store that reckons in UTC is asked for the same day."""
    times = [*people.said_at().values(), *(question.asked_at for question in people.questions)]

    assert [datetime.fromtimestamp(t, UTC).date() for t in times] == [
        datetime.fromtimestamp(t, JAPAN).date() for t in times
    ]


def test_evidence_is_what_the_person_said(people: Benchmark):
    """Every id of a question exists and is a user's turn of the same person."""
    turns = people.turns()
    for question in people.questions:
        for id_ in (*question.evidence, *question.outdated, *question.similar):
            assert "user" == turns[id_].role, question.id
            assert id_.startswith(f"{question.person}-"), question.id


def test_kinds_have_the_evidence_that_they_promise(people: Benchmark):
    """Two facts are in two sessions, a changed one has its past, and what was never said has nothing."""
    counts = {"single": (1, 0, 0), "two": (2, 0, 0), "changed": (1, 1, 0), "never": (0, 0, 0)}
    for question in people.questions:
        found = len(question.evidence), len(question.outdated), len(question.similar)
        if question.kind == "time":
            assert found[:2] == (1, 0)
            assert found[2] >= 2, question.id
        else:
            assert counts[question.kind] == found, question.id
        if question.needs_all:
            assert 2 == len({id_.rpartition("-")[0] for id_ in question.evidence}), question.id


def test_half_of_what_was_never_said_is_about_what_never_came_up(people: Benchmark):
    """Two of each sort for everybody; whatever can be answered was mentioned."""
    sorts = Counter((question.person, question.sort) for question in people.questions if question.kind == "never")

    assert {"never untold", "never unmentioned"} == {sort for _, sort in sorts}
    assert 40 == len(sorts)
    assert {2} == set(sorts.values())
    assert all(question.mentioned for question in people.questions if question.kind != "never")


def test_nobody_says_a_word_of_what_never_came_up():
    """Neither the person nor the assistant can, with any seed; and a question has at least one of its words itself."""
    talk = [line for path in (HERE / "talk").glob("*.txt") for line in path.read_text("utf-8").splitlines()]
    for life in lives():
        told = [text for day in life.days for exchange in day.exchanges for text in (exchange.user, exchange.assistant)]
        told += [line for line in talk if line.startswith(("= ", f"{life.voice} "))]
        said = "\n".join(told).casefold()
        for asked in life.questions:
            words = [word.casefold() for word in asked.unsaid]

            assert not words or any(word in asked.text.casefold() for word in words), asked.text
            assert not [word for word in words if word in said], asked.text


def test_changed_facts_are_newer_than_what_they_replace(people: Benchmark):
    """The newest is right."""
    said_at = people.said_at()
    for question in people.questions:
        for outdated in question.outdated:
            assert said_at[question.evidence[0]] > said_at[outdated], question.id


def test_only_the_evidence_is_in_the_time_asked_for(people: Benchmark):
    """The right event is in the days that the question names, and the similar ones are not."""
    said_at = people.said_at()
    for question in people.questions:
        if question.kind != "time":
            continue
        first, last = period(question.text, day_of(question.asked_at)) or (date.max, date.min)

        assert all(first <= day_of(said_at[id_]) <= last for id_ in question.evidence), question.id
        assert not any(first <= day_of(said_at[id_]) <= last for id_ in question.similar), question.id


def test_no_event_of_the_same_series_is_in_the_time_asked_for():
    """Also those that a question does not name: keys of one series begin with the same word."""
    for life in lives():
        told = {exchange.key: day.date for day in life.days for exchange in day.exchanges if exchange.key}
        for asked in life.questions:
            if asked.kind != "time":
                continue
            first, last = period(asked.text, life.now) or (date.max, date.min)
            series = {asked.keys[0].partition("_")[0]} if "_" in asked.keys[0] else set()
            within = [key for key, day in told.items() if key.partition("_")[0] in series and first <= day <= last]

            assert set(within) <= set(asked.keys), (life.id, asked.text)


def test_no_question_repeats_what_was_said(people: Benchmark):
    """A question is never a turn word for word, and asked once."""
    texts = [question.text for question in people.questions]

    assert len(texts) == len(set(texts))
    assert not set(texts) & {turn.text for turn in people.turns().values()}


def test_questions_are_worded_otherwise_than_their_evidence(people: Benchmark):
    """At most six tenths of a question stand in its evidence, on average a quarter, and of some nothing at all."""
    turns = people.turns()
    shares = [of_question(question, turns) for question in people.questions if question.evidence]

    assert max(shares) < 0.6
    assert sum(shares) / len(shares) < 0.25
    assert sum(share < 0.05 for share in shares) >= 40
