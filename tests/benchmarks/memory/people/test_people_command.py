"""`python -m benchmarks.memory.people`."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from benchmarks.memory import people as package
from benchmarks.memory.people.__main__ import review, statistics, write
from benchmarks.memory.people.model import Benchmark

PAGE = Path(package.__file__).parent / "README.md"
NUMBERS = re.compile(r"overlap (\w+) +mean (\S+), quartiles ([^,]+), least (\S+), most (\S+)")


def test_everything_is_written_as_json_lines(people: Benchmark, tmp_path: Path):
    """Another program reads people and questions without this one."""
    write(people, tmp_path / "new")

    written = [json.loads(line) for line in (tmp_path / "new" / "people.jsonl").read_text("utf-8").splitlines()]
    asked = [json.loads(line) for line in (tmp_path / "new" / "questions.jsonl").read_text("utf-8").splitlines()]
    assert [person.name for person in people.people] == [person["name"] for person in written]
    assert people.people[0].sessions[0].turns[0].text == written[0]["sessions"][0]["turns"][0]["text"]
    assert [list(question.evidence) for question in people.questions] == [question["evidence"] for question in asked]
    assert [question.mentioned for question in people.questions] == [question["mentioned"] for question in asked]


def test_statistics_say_how_much_there_is_and_how_alike(people: Benchmark):
    """Turns, characters, questions by kind and sort, and the overlap of each answerable kind and of all."""
    lines = list(statistics(people))

    assert lines[0].startswith("people 20, sessions 600, turns ")
    assert lines[1].startswith("characters ")
    assert "questions single 80, two 80, time 80, changed 80, never 80" == lines[2]
    assert "never unmentioned 40, never untold 40" == lines[3]
    assert ["single", "two", "time", "changed", "all"] == [line.split()[1] for line in lines[4:]]


def test_the_page_tells_the_numbers_of_today(people: Benchmark):
    """Whoever changes a text writes the numbers of the page anew."""
    page = PAGE.read_text("utf-8")
    lines = list(statistics(people))

    turns, characters = (int(line.split()[-1]) for line in lines[:2])
    assert f"{turns:,} turns, {characters:,} characters" in page
    for sort, count in Counter(question.sort for question in people.questions if not question.evidence).items():
        assert f"| `{sort.replace(' ', '`, ')} | {count} |" in page
    for line in lines[4:]:
        kind, mean, quartiles, least, most = NUMBERS.findall(line)[0]
        name = kind if kind == "all" else f"`{kind}`"
        assert f"| {name} | {mean} | {least} | {', '.join(quartiles.split())} | {most} |" in page


def test_a_review_shows_every_question_with_what_it_points_to(people: Benchmark):
    """Nothing is hidden from whoever reads all questions."""
    text = "\n".join(review(people))

    for question in people.questions:
        assert f"{question.id} {question.sort} " in text
        assert question.text in text
    for mark in "+-~":
        assert f"    {mark} 2025-" in text
