"""OpenAI's own reader of harmony, where its vocabulary is at hand, finds the same in the golden answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.plugins.chat_formats.golden_answers import GPT_OSS
from tests.plugins.chat_formats.goldens import reader

# The library reads token ids and needs this file, which it would fetch from the network.
VOCABULARY = Path(os.environ.get("TIKTOKEN_ENCODINGS_BASE", ""), "o200k_base.tiktoken")

# Here the two differ on purpose: nothing is lost of what only a strict reader refuses, and a marker within a string
# is text, which the reference tells by token ids that are not made here.
LENIENT = {
    *("text alone", "an end forgotten", "a call without JSON", "a header cut off", "no tools offered"),
    "a call that names the function first",
}


@pytest.mark.skipif(not VOCABULARY.is_file(), reason="TIKTOKEN_ENCODINGS_BASE names no o200k_base.tiktoken")
@pytest.mark.parametrize("golden", [g for g in GPT_OSS if g.title not in LENIENT], ids=lambda golden: golden.title)
def test_openai_reads_the_same(golden):
    """Thinking, text and calls are those that the reference finds."""
    harmony = pytest.importorskip("openai_harmony")
    encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
    reference = harmony.StreamableParser(encoding, harmony.Role.ASSISTANT)
    for number in encoding.encode(golden.raw, allowed_special="all"):
        reference.process(number)
    reference.process_eos()
    thoughts, texts, calls = [], [], []
    for message in reference.messages:
        text = "".join(part.text for part in message.content)
        if (message.recipient or "").startswith("functions."):
            calls.append(["", message.recipient.removeprefix("functions."), text])
        else:
            (thoughts if message.channel == "analysis" else texts).append(text)

    found = reader("gpt_oss").push(golden.raw).finish()
    assert ("".join(texts), "\n\n".join(thoughts), calls) == (found.content, found.reasoning, found.calls)
