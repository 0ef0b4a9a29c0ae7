"""What of a model's digest is worth keeping."""

from __future__ import annotations

import pytest

from hoshikage.plugins.memory.digests.by_model import repeats

TALK = "We plan a trip to Kyoto in autumn. The hotel lies near the river, and Emi carries the camera."
CIRCLE = "I'll need to bring a camera, and "


@pytest.mark.parametrize(
    ("text", "circles"),
    [
        (f"I'm going to Kyoto. {CIRCLE * 20}", True),
        ("カメラを持って行きます。" * 10, True),
        ("a" * 400, True),
        ("The user lives in Osaka. The user likes tea. The user has a cat. The user plays the cello.", False),
        ("利用者は大阪に住んでいます。利用者はお茶が好きです。利用者は猫を飼っています。", False),
        ("Yes.", False),
        ("", False),
    ],
)
def test_what_goes_in_circles(text, circles):
    """Small models do, in any language; sentences that only begin alike are none of that."""
    assert circles == repeats(text, TALK)


def test_a_list_may_be_as_uniform_as_what_it_is_of():
    """A conversation may have the same sentence with other numbers, all of which are worth keeping."""
    talk = "\n".join(f"Boat number {n} leaves for the island at {n} o'clock." for n in range(20))

    assert not repeats(talk, talk)
    assert repeats("Boat number 1 leaves for the island. " * 20, talk)
