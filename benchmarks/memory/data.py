"""Two public data sets as texts and questions. Their files are read where they lie; nothing of them is kept here."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage import MemoryKind


@dataclass(frozen=True, slots=True)
class Text:
    """Something that can be found.

    Attributes:
        said_at: seconds since the epoch.
        session: the conversation; empty for a text that is in none.
        role: who said it.
    """

    id: str
    text: str
    said_at: float = 0.0
    session: str = ""
    role: str = "user"

    @property
    def kind(self) -> MemoryKind:
        """What it is for a memory."""
        return "turn" if self.session else "note"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the texts that answer it.

    Attributes:
        kind: as the data set names it.
    """

    text: str
    evidence: frozenset[str]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """Texts of one owner, in the order in which they were said, and the questions to them."""

    name: str
    texts: list[Text]
    questions: list[Question]


LOCOMO_KINDS = {1: "several turns", 2: "time", 3: "open", 4: "one turn", 5: "adversarial"}


def read_jsquad(file: Path) -> Collection:
    """JSQuAD (https://github.com/yahoojapan/JGLUE): which paragraph was a question written for?"""
    texts: dict[str, str] = {}
    questions = []
    for article in orjson.loads(file.read_bytes())["data"]:
        for paragraph in article["paragraphs"]:
            name = texts.setdefault(paragraph["context"], f"p{len(texts)}")
            questions += [Question(asked["question"], frozenset([name])) for asked in paragraph["qas"]]
    return Collection("JSQuAD", [Text(name, text) for text, name in texts.items()], questions)


def read_locomo(file: Path) -> list[Collection]:
    """LoCoMo (https://github.com/snap-research/locomo): which turns are the evidence for an answer?

    Questions whose evidence names no turn of their conversation are left out. A turn is its speaker, its text and the
    caption of a picture that was shared with it.
    """
    return [_conversation(item) for item in orjson.loads(file.read_bytes())]


def _conversation(item: dict[str, Any]) -> Collection:
    talk = item["conversation"]
    sessions = sorted((key for key in talk if key.startswith("session_") and isinstance(talk[key], list)), key=_number)
    texts = []
    for session in sessions:
        began = _moment(talk[f"{session}_date_time"])
        texts += [Text(t["dia_id"], _turn(t), began + 30.0 * n, session) for n, t in enumerate(talk[session])]
    known = {text.id for text in texts}
    questions = []
    for asked in item["qa"]:
        named = {part for entry in asked.get("evidence", []) for part in entry.replace(";", " ").split()}
        if evidence := frozenset(named & known):
            questions.append(Question(str(asked["question"]), evidence, LOCOMO_KINDS[asked["category"]]))
    return Collection(item["sample_id"], texts, questions)


def _turn(turn: dict[str, Any]) -> str:
    caption = f" [shared photo: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
    return f"{turn['speaker']}: {turn['text']}{caption}"


def _number(session: str) -> int:
    return int(session.rsplit("_", 1)[1])


def _moment(text: str) -> float:
    """`1:56 pm on 8 May, 2023`, taken as UTC."""
    return datetime.datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=datetime.UTC).timestamp()
