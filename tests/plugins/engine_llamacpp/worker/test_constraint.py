"""Answers of a given form, whatever the model would rather say."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

from hoshikage import Tool
from hoshikage.plugins.chat_formats.hermes import HermesFormat
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker import constraint as constraints
from hoshikage.plugins.engine_llamacpp.worker.constraint import ConstraintFailed, ConstraintRefused, Grammars
from hoshikage.plugins.engine_llamacpp.worker.native import Batch
from hoshikage.plugins.engine_llamacpp.worker.sampler import Sampler
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.worker.schemas import SCHEMAS, check

# llguidance asks for attributes of tokens by their old name.
pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore:llama_token_get_attr")]

HOT = frames.SamplingParams(temperature=1.5, top_k=0, top_p=1, min_p=0)
LONGEST_ANSWER = 400
RUNS_BY_CHANCE = 1000
RUNS_OF_THE_MODEL = int(os.environ.get("HOSHIKAGE_SCHEMA_RUNS", "24"))
AT_ONCE = 16


def form(kind: str, source: object = "") -> frames.Constraint:
    """A constraint as a frame."""
    return frames.Constraint(kind, source if isinstance(source, str) else json.dumps(source), "response_format")


@pytest.fixture(scope="module")
def grammars(letters) -> Grammars:
    """Grammars over single letters."""
    return Grammars(letters.model)


@pytest.fixture
def takes(letters, grammars):
    """Whether an answer of a form can be this text, and end there."""

    def takes(constraint: frames.Constraint, text: str, markers: tuple[str, ...] = ()) -> bool:
        state = grammars.start(constraint, markers)
        return all(state.try_accept(token) for token in letters.ids(text)) and state.try_accept(tiny.EOS)

    return takes


# --- forms ---


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (form("json_object"), ['{"a":[1,null]}', "{ }", '{\n  "a": {}\n}'], ["[]", "", '{"a"}', "{}x"]),
        (form("json_schema", {"type": "integer", "minimum": 5}), ["5", "77"], ["4", "5.5", '"5"', ""]),
        (form("regex", "[a-c]{2}(x|yz)?"), ["ab", "ccx", "bbyz"], ["a", "abc", "aby", "AB"]),
        (form("regex", "a*"), ["", "aaa"], ["b"]),
        (
            form("choice", ["yes", "no", "nobody", 'a "b"', "星"]),
            ["yes", "no", "nobody", 'a "b"', "星"],
            ["", "nob", "n"],
        ),
        (form("lark", 'start: "a" NUM\nNUM: /[0-9]+/'), ["a1", "a123"], ["a", "1", "a1b"]),
        (form("gbnf", 'root ::= "a" [0-9]+'), ["a1", "a123"], ["a", "1", "a1b"]),
    ],
)
def test_only_answers_of_the_form_are_possible(takes, constraint, good, bad):
    """Every kind of form, with answers that have it and answers that nearly do."""
    assert good == [text for text in good + bad if takes(constraint, text)]


def test_white_space_in_json_is_bounded(takes):
    """One blank, or one line break with its indentation: a model that samples hot would write it for ever."""
    empty = form("json_schema", {"type": "array", "items": {"type": "null"}})

    assert takes(empty, "[\n    null, null\n]")
    assert not takes(empty, "[  null]")
    assert not takes(empty, "[\n\nnull]")
    assert not takes(empty, "[null] ")


def test_a_schema_cannot_change_how_strict_it_is(grammars):
    """What llguidance does not know is refused, even where the schema asks for it to be ignored."""
    with pytest.raises(ConstraintRefused, match="not"):
        grammars.start(form("json_schema", {"x-guidance": {"lenient": True}, "not": {"type": "null"}}))


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (form("json_schema", "{"), "no JSON schema"),
        (form("json_schema", "[]"), "no JSON schema"),
        (form("json_schema", "true"), "no JSON schema"),
        (form("json_schema", {"type": "text"}), "Invalid type: text"),
        (form("json_schema", {"$ref": "#/$defs/x"}), "'/$defs/x' does not exist"),
        (form("json_schema", {"$ref": "http://127.0.0.1:9/x"}), "127.0.0.1"),
        (form("json_schema", {"uniqueItems": True, "type": "array"}), "uniqueItems"),
        (form("json_schema", {"oneOf": [{"type": "string"}, {"minLength": 3}]}), "oneOf"),
        (form("json_schema", {"type": "integer", "minimum": 5, "maximum": 3}), "minimum (5)"),
        (form("json_schema", {"enum": []}), "empty"),
        (form("json_schema", {"type": "string", "pattern": "(("}), "unclosed group"),
        (form("json_schema", '{"items":' * 300 + "{}" + "}" * 300), "recursion limit"),
        (form("regex", "(("), "unclosed group"),
        (form("regex", "(?=a)b"), "look-around"),
        (form("choice", "[]"), "one or more strings"),
        (form("choice", "[1]"), "one or more strings"),
        (form("choice", "{"), "no JSON array"),
        (form("lark", ""), "Empty grammar"),
        (form("lark", "start: nothing"), 'unknown name: "nothing"'),
        (form("lark", "start: (("), "1(10)"),
        (form("gbnf", "nonsense"), "line 1"),
        (form("regex", "a" * 300_000), "300000 characters; at most 262144"),
    ],
)
def test_wrong_forms_are_refused_with_the_reason(grammars, constraint, reason):
    """In one line of readable length, before anything is computed."""
    with pytest.raises(ConstraintRefused) as refused:
        grammars.start(constraint)

    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 300


def test_a_grammar_that_becomes_too_complex_ends_only_its_answer(letters, grammars, monkeypatch):
    """The compiler gives up on it while the answer is written; others go on."""
    import llguidance

    tight = llguidance.LLParserLimits(step_max_items=1, verbose_errors=False)
    monkeypatch.setattr(constraints.llguidance, "LLParserLimits", lambda **_: tight)
    state = grammars.start(form("lark", 'start: "a" start "b" | "a" start "c" | "x"'))

    with pytest.raises(ConstraintFailed, match="Too many items"):
        state.allowed()
    assert not state.finished


# --- special tokens ---


def test_a_marker_is_matched_by_its_token(letters, takes):
    """Where the vocabulary has one; its letters, typed one after the other, are something else."""
    call = form("lark", 'start: "<|im_start|>\\n" "x"')
    spelled = [token for letter in "<|im_start|>" for token in letters.ids(letter)[-1:]]

    assert takes(call, "<|im_start|>\nx", ("<|im_start|>",))
    assert not takes(call, "<|im_start|>\nx")
    assert tiny.IM_START not in spelled


def test_markers_that_are_no_tokens_stay_text(takes):
    """Most vocabularies do not have those of other families."""
    assert takes(form("lark", 'start: "<tool_call>" "x"'), "<tool_call>x", ("<tool_call>",))


def test_every_token_that_ends_an_answer_may_end_it(letters, grammars):
    """Chat models use several of them."""
    for end in (tiny.EOS, tiny.IM_END):
        state = grammars.start(form("choice", ["no"]))
        assert not state.try_accept(end)
        assert all(state.try_accept(token) for token in letters.ids("no")[-2:])
        assert {tiny.EOS, tiny.IM_END} <= set(state.allowed().tolist())
        assert state.try_accept(end)


def test_grammars_of_tools_are_understood(takes):
    """As the chat formats write them; JSON there has bounded white space as well."""
    tool = Tool("add", parameters={"properties": {"x": {"type": "integer"}}, "required": ["x"]})
    grammar = HermesFormat().tool_constraint([tool], parallel=True)
    call = '<tool_call>\n{"name": "add", "arguments": {"x": 5}}\n</tool_call>'

    assert takes(form("lark", grammar.source), f"{call}\n{call}", HermesFormat.markers)
    assert not takes(form("lark", grammar.source), call.replace('"add"', '"sub"'), HermesFormat.markers)
    assert not takes(form("lark", grammar.source), "no", HermesFormat.markers)


# --- states ---


def test_the_end_is_known_when_nothing_else_can_follow(letters, grammars):
    """So that no step is computed for it."""
    state = grammars.start(form("choice", ["ab", "abc"]))
    a, b, c = letters.ids("abc")[-3:]

    assert state.try_accept(a)
    assert state.try_accept(b)
    assert not state.finished
    assert state.try_accept(c)
    assert state.finished


def test_answers_to_one_form_do_not_disturb_each_other(letters, grammars):
    """The grammar is compiled once, and each answer has its own place in it."""
    first, second = (grammars.start(form("regex", "ab")) for _ in range(2))
    a, b = letters.ids("ab")[-2:]

    assert first.try_accept(a)
    assert second.try_accept(a)
    assert first.try_accept(b)
    assert not second.finished
    first.restart()
    assert first.try_accept(a)


def test_compiled_grammars_are_kept(grammars, monkeypatch):
    """The ones that were used last; a compiled one comes at no cost."""
    compiled = []
    compile_ = constraints._compile
    monkeypatch.setattr(constraints, "_compile", lambda c, *rest: compiled.append(c.source) or compile_(c, *rest))
    sources = [f"kept{n}" for n in range(constraints.KEPT_GRAMMARS)]

    for source in (*sources, sources[0], "new", sources[0], sources[1]):
        grammars.start(form("regex", source))

    assert [*sources, "new", sources[1]] == compiled


# --- whole answers ---


def test_every_answer_by_chance_follows_its_schema(letters, grammars):
    """A thousand answers of a model that knows nothing: none is cut off, none is wrong."""
    for number in range(RUNS_BY_CHANCE):
        name = list(SCHEMAS)[number % len(SCHEMAS)]
        state = grammars.start(form("json_schema", SCHEMAS[name]))
        params = msgspec.structs.replace(HOT, seed=number)
        sampler = Sampler(params, model=letters.model, prompt=[tiny.BOS], constraint=state)

        check(letters.text(letters.answer(sampler, max_tokens=LONGEST_ANSWER)), name)
        sampler.close()


def test_every_answer_of_a_hot_model_follows_its_schema(words):
    """The same with a real model and its vocabulary; HOSHIKAGE_SCHEMA_RUNS says how many answers."""
    model, grammars = words.model, Grammars(words.model)
    for first in range(0, RUNS_OF_THE_MODEL, AT_ONCE):
        names = [list(SCHEMAS)[n % len(SCHEMAS)] for n in range(first, min(first + AT_ONCE, RUNS_OF_THE_MODEL))]
        samplers = [
            Sampler(
                msgspec.structs.replace(HOT, seed=first + n),
                model=model,
                prompt=[],
                constraint=grammars.start(form("json_schema", SCHEMAS[name])),
            )
            for n, name in enumerate(names)
        ]
        for name, answer in zip(names, _together(model, samplers), strict=True):
            check(answer, name)


def _together(model, samplers: list[Sampler]) -> list[bytes]:
    """Compute answers side by side; each begins after the same prompt."""
    batch = Batch(64)
    prompt = model.tokenize("<|im_start|>user\nJSON, please.<|im_end|>\n<|im_start|>assistant\n", templated=True)
    said: list[list[int]] = [[] for _ in samplers]
    rows = {}
    for slot in range(len(samplers)):
        batch.clear()
        model.forget(slot)
        row = batch.add(prompt, position=0, slot=slot, choose=1)
        assert batch.decode(model) == 0
        said[slot].append(samplers[slot].choose(row).token)
    running = [slot for slot in range(len(samplers)) if not samplers[slot].finished]
    for step in range(LONGEST_ANSWER):
        if not running:
            batch.close()
            return [b"".join(model.piece(token) for token in tokens) for tokens in said]
        batch.clear()
        rows = {slot: batch.add(said[slot][-1:], position=len(prompt) + step, slot=slot, choose=1) for slot in running}
        assert batch.decode(model) == 0
        for slot in running:
            said[slot].append(samplers[slot].choose(rows[slot]).token)
        running = [s for s in running if not samplers[s].finished and not model.ends_answer(said[s][-1])]
    raise AssertionError(f"answers without an end: {[words for slot, words in enumerate(said) if slot in running]}")
