"""The two public data sets: read in their own layout, here with a few invented lines."""

from __future__ import annotations

import json

from benchmarks.memory.data import Question, Text, read_jsquad, read_locomo


def test_jsquad(tmp_path):
    """A paragraph is one text however often it is asked about."""
    asked = [{"question": "猫は？", "id": "1", "answers": []}, {"question": "犬は？", "id": "2", "answers": []}]
    one = {"context": "猫と犬がいる。", "qas": asked}
    other = {"context": "鳥がいる。", "qas": [{"question": "鳥は？", "id": "3", "answers": []}]}
    file = tmp_path / "jsquad.json"
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [one, other]}]}))

    found = read_jsquad(file)

    assert [Text("p0", "猫と犬がいる。"), Text("p1", "鳥がいる。")] == found.texts
    assert ["note"] * 2 == [text.kind for text in found.texts]
    assert [("猫は？", {"p0"}), ("犬は？", {"p0"}), ("鳥は？", {"p1"})] == [
        (q.text, q.evidence) for q in found.questions
    ]


def test_locomo(tmp_path):
    """Sessions come by their number; evidence of two turns may be one string; what names no turn is left out."""
    turn = {"speaker": "Ann", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a cat"}
    talk = {
        "speaker_a": "Ann",
        "session_10": [{"speaker": "Ben", "dia_id": "D10:1", "text": "Later."}],
        "session_10_date_time": "1:00 am on 9 May, 2023",
        "session_2": [turn],
        "session_2_date_time": "1:56 pm on 8 May, 2023",
    }
    qa = [
        {"question": "What?", "evidence": ["D2:1; D10:1"], "category": 1},
        {"question": "When?", "evidence": ["D7:7"], "category": 2},
    ]
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([{"sample_id": "c", "conversation": talk, "qa": qa}]))

    (found,) = read_locomo(file)

    assert ["Ann: Look! [shared photo: a cat]", "Ben: Later."] == [text.text for text in found.texts]
    assert [1683554160.0, 1683594000.0] == [text.said_at for text in found.texts]
    assert ["turn"] * 2 == [text.kind for text in found.texts]
    assert [Question("What?", frozenset({"D2:1", "D10:1"}), "several turns")] == found.questions
