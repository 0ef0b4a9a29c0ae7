"""The language: each construct does what Go's does, and what is not known is refused with its line."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hoshikage.core.gotemplate import TemplateNotTranslatable, effective_template, to_jinja
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate, TemplateRefused
from tests.core.gotemplate.rendering import CALL, FOLDER, WEATHER, answer, one, rendered, source_of, system

# Makes every template below one that has messages, and writes nothing.
MESSAGES = "{{ if false }}{{ .Messages }}{{ end }}"

WRITES = {
    "a text": ("plain { } %} text", "plain { } %} text"),
    "line feeds at both ends": ("\n\na\n\n", "\n\na\n\n"),
    "marks of the other language": ('{{ "{%" }}{{ "{{" }}{{ "}}" }}{{ `{#` }}', "{%{{}}{#"),
    "trimming": ("a \n {{- 1 -}} \n b", "a1b"),
    "no trimming": ("a {{ 1 }} b", "a 1 b"),
    "a comment": ("a{{/* no }} word */}}b", "ab"),
    "a comment that trims": ("a {{- /* none */ -}} b", "ab"),
    "escapes": (r'{{ "a\n\t\"\\\x41\u661f\U0001F30A\101" }}', 'a\n\t"\\A星\U0001f30aA'),
    "a raw text": ("{{ `a\\n'b\nc` }}", "a\\n'b\nc"),
    "a character": ("{{ 'a' }}", "97"),
    "numbers": ("{{ 1 }} {{ -2 }} {{ 0x1F }} {{ 1.5 }}", "1 -2 31 1.5"),
    "truth values": ("{{ true }} {{ false }} {{ eq 1 1 }}", "true false true"),
    "if": ('{{ if "x" }}yes{{ else }}no{{ end }}', "yes"),
    "else": ('{{ if "" }}yes{{ else }}no{{ end }}', "no"),
    "else if": ("{{ if false }}a{{ else if true }}b{{ else if true }}c{{ else }}d{{ end }}", "b"),
    "the last else": ("{{ if false }}a{{ else if false }}b{{ else }}d{{ end }}", "d"),
    "if that declares": ('{{ if $x := "v" }}{{ $x }}{{ end }}', "v"),
    "with": ("{{ with .Messages }}{{ range . }}{{ .Content }};{{ end }}{{ end }}", "be kind;one;two;three;"),
    "with nothing": ("{{ with .Tools }}some{{ else }}none{{ end }}", "none"),
    "with that declares": ('{{ with $x := "v" }}{{ $x }}{{ . }}{{ end }}', "vv"),
    "range": ("{{ range .Messages }}{{ .Role }} {{ end }}", "system user assistant user "),
    "range with an index": (
        "{{ range $i, $m := .Messages }}{{ $i }}{{ $m.Content }} {{ end }}",
        "0be kind 1one 2two 3three ",
    ),
    "range with an element": ("{{ range $m := .Messages }}{{ $m.Role }} {{ end }}", "system user assistant user "),
    "range over nothing": ("{{ range .Tools }}a{{ else }}b{{ end }}", "b"),
    "range whose every round is cut short": (
        "{{ range .Messages }}{{ continue }}{{ else }}b{{ end }}{{ range .Messages }}{{ break }}{{ else }}b{{ end }}",
        "",
    ),
    "a jump in the else of a range": (
        "{{ range $i, $m := .Messages }}{{ $i }}{{ range $.Tools }}{{ else }}{{ break }}{{ end }}{{ end }}",
        "0",
    ),
    "break": ("{{ range $i, $m := .Messages }}{{ if eq $i 2 }}{{ break }}{{ end }}{{ $i }}{{ end }}", "01"),
    "continue": ("{{ range $i, $m := .Messages }}{{ if eq $i 2 }}{{ continue }}{{ end }}{{ $i }}{{ end }}", "013"),
    "a variable that a loop changes": (
        '{{ $x := "" }}{{ range .Messages }}{{ $x = .Content }}{{ end }}{{ $x }}',
        "three",
    ),
    "a variable of the same name in a loop": (
        '{{ $x := "out" }}{{ range .Messages }}{{ $x := .Role }}{{ end }}{{ $x }}',
        "out",
    ),
    "the root from within": ("{{ range .Messages }}{{ $.System }} {{ end }}", "be kind be kind be kind be kind "),
    "and, or": ('{{ and 1 "" }}|{{ and 1 2 }}|{{ or "" "b" }}|{{ or "a" "b" }}', "|2|b|a"),
    "not": ("{{ not .Tools }} {{ not 1 }}", "true false"),
    "eq with several": ('{{ eq "b" "a" "b" }}', "true"),
    "eq with none of several": ('{{ eq "b" "a" "c" }}{{ eq 1 2 }}{{ eq (eq 1 2) false }}', "falsefalsetrue"),
    "comparisons": ("{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt 1 2 }}{{ ge 1 2 }}", "truetruetruefalsefalse"),
    "len": ("{{ len .Messages }}{{ len .Tools }}", "40"),
    "len of a text": ('{{ len "星a" }}{{ len .System }}', "47"),
    "slice": ("{{ range slice .Messages 1 3 }}{{ .Content }} {{ end }}", "one two "),
    "slice to the end": ("{{ len (slice .Messages 3) }}", "1"),
    "index": ("{{ (index .Messages 1).Content }}", "one"),
    "printf": ('{{ printf "%s=%d %v %q %t 100%%" "a" 3 "b" "c" true }}', 'a=3 b "c" true 100%'),
    "a pipeline": ('{{ "a" | printf "%s-%s" "b" }}', "b-a"),
    "print": ('{{ print "a" 1 2 "b" }}', "a1 2b"),
    "println": ('{{ println "a" 1 }}', "a 1\n"),
    "json": ('{{ json "a\\"星" }} {{ .Tools | toJson }}', '"a\\"星" []'),
    "parentheses": ("{{ if (and (not false) (or false true)) }}a{{ end }}", "a"),
    "nil": ("{{ if nil }}a{{ else }}b{{ end }}", "b"),
    "what a gap is filled with": ("{{ if .Suffix }}a{{ else }}b{{ end }}", "b"),
}
TALK = [system("be kind"), one("one"), answer("two"), one("three")]


@pytest.mark.parametrize(("source", "expected"), WRITES.values(), ids=WRITES)
def test_construct_writes_what_go_writes(source: str, expected: str):
    """Each construct, rendered with a conversation of four messages."""
    assert expected == rendered(MESSAGES + source, *TALK)


def test_maps_are_sorted_by_their_keys():
    """A loop over arguments or properties goes through them by name, also where the kind is not known before."""
    call = {"function": {"name": "f", "arguments": {"b": 1, "a": [True, None]}}}
    loop = "{{ range $k, $v := .Function.Arguments }}{{ $k }}={{ $v }};{{ end }}"
    unknown = '{{ range $k, $v := index .Function.Arguments "m" }}{{ $k }}={{ $v }};{{ end }}'
    nested = {"function": {"name": "f", "arguments": {"m": {"y": {"z": 1.5}, "x": "t"}}}}

    def in_calls(body: str) -> str:
        return f"{{{{ range .Messages }}}}{{{{ range .ToolCalls }}}}{body}{{{{ end }}}}{{{{ end }}}}"

    assert "a=[true,null];b=1;" == rendered(in_calls(loop), answer("", tool_calls=[call]))
    assert 'x=t;y={"z":1.5};' == rendered(in_calls(unknown), answer("", tool_calls=[nested]))


def test_structures_are_written_as_json():
    """A tool, a call's arguments and a list are JSON where they are written."""
    source = "{{ range .Tools }}{{ . }}{{ .Function.Parameters.Required }}{{ .Function.Description }}{{ end }}"
    (tool,) = [WEATHER]

    prompt = rendered(MESSAGES + source, one("x"), tools=[tool])

    assert prompt.startswith('{"type":"function","function":{"name":"weather",')
    assert prompt.endswith('}["city"]The weather of a city.')


def test_neighbours_of_one_role_are_one_message():
    """As Ollama does it; calls and results stay apart."""
    source = "{{ range .Messages }}[{{ .Role }}:{{ .Content }}]{{ end }}"
    tool = {"role": "tool", "content": "1"}
    talk = [one("a"), one("b"), answer("", tool_calls=[CALL]), answer("c"), tool, tool]

    assert "[user:a\n\nb][assistant:][assistant:c][tool:1][tool:1]" == rendered(source, *talk)


def test_template_without_an_answer_gets_one_at_its_end():
    """`.Prompt` alone is a template: the answer follows it."""
    assert "Q: a" == rendered("Q: {{ .Prompt }}", one("a"))
    assert "Q: abQ: c" == rendered("Q: {{ .Prompt }}", one("a"), answer("b"), one("c"))


def test_what_stands_after_the_answer_closes_earlier_turns_only():
    """The last turn is cut at the answer, also within a block."""
    source = "<{{ .Prompt }}>{{ if true }}{{ .Response }}!{{ else }}?{{ end }}#"

    assert "<a>b!#<c>" == rendered(source, one("a"), answer("b"), one("c"))


def test_date_is_todays():
    """`currentDate` is the date as ISO writes it."""
    assert rendered(MESSAGES + "{{ currentDate }}", one("x")) == datetime.datetime.now().astimezone().strftime(
        "%Y-%m-%d"
    )


REFUSED = {
    "a\n{{ .Sytem }}": "line 2: .Sytem is unknown",
    "{{ range .Messages }}{{ .Contents }}{{ end }}": "line 1: the field .Contents is unknown",
    "{{ toTypeScriptType .Tools }}": "the function 'toTypeScriptType' is unknown",
    "{{ $x }}": "the variable $x is not declared",
    "{{ $x = 1 }}": "the variable $x is not declared",
    "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}": "the variable $x is not declared",
    "{{ if true }}": "{{ if }} has no {{ end }}",
    "{{ end }}": "{{ end }} closes nothing",
    "{{ else }}": "{{ else }} closes nothing",
    "{{ if 1 }}{{ else }}{{ else }}{{ end }}": "a second {{ else }}",
    "{{ range .Tools }}{{ else if 1 }}{{ end }}": "{{ else if }}",
    "{{ break }}": "{{ break }} stands where it cannot",
    "{{ range .Messages }}{{ else }}{{ break }}{{ end }}": "{{ break }} stands where it cannot",
    "{{ range .Messages }}{{ else }}": "{{ else }} has no {{ end }}",
    '{{ template "x" }}': "{{ template }} is not supported",
    '\n\n{{ define "x" }}{{ end }}': "line 3: {{ define }} is not supported",
    "{{ .Prompt": "does not end with }}",
    "{{ . }}": "the whole of what the template is given",
    "{{ }}": "a value is missing",
    "{{ (1 }}": "a parenthesis is not closed",
    "{{ 1 2 }}": "'2' is not understood",
    "{{ 1 | 2 }}": "must be a function",
    "{{ ~ }}": "is not understood",
    "{{ not }}": "not takes 1 arguments",
    "{{ eq 1 }}": "eq takes 2 to 16 arguments",
    '{{ printf "%x" 1 }}': "%x is not supported",
    '{{ printf "%s" }}': "there is no argument for %s",
    '{{ printf "" 1 }}': "1 arguments too many",
    "{{ printf .Prompt }}": "printf needs its form",
    r'{{ "\q" }}': "is no escape",
    r'{{ "\xff" }}': "stands for no whole character",
    r'{{ "\ud800" }}': "stands for no whole character",
    "{{ 'ab' }}": "is not one character",
    "{{ 12345678901234567890 }}": "is no number",
    "{{ 1e999 }}": "is no number",
    "{{ 1 " + "| not " * 40 + "}}": "nested too deeply",
    "{{ " + "(" * 40 + "1" + ")" * 40 + " }}": "nested too deeply",
    "{{ if 1 }}" * 40 + "{{ end }}" * 40: "nested too deeply",
    "{{ range .Messages }}" * 12 + "{{ end }}" * 12: "nested too deeply",
    "{% if %}": "no valid Jinja2",
    "a\n{% for %}": "line 2: no valid Jinja2",
    "{% if 1 %}\n{{ 1|nothing }}{% endif %}": "line 2: no valid Jinja2: there is no filter 'nothing'",
    "{% if 1 is nothing %}{% endif %}": "there is no test 'nothing'",
    "{% if 1 %}{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}{% endif %}": "no valid Jinja2",
    "x" * 65_537: "longer than 65536 characters",
}


@pytest.mark.parametrize(("source", "words"), REFUSED.items(), ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_not_known_is_refused(source: str, words: str):
    """The error is a 400 that names the field, the line and the construct."""
    with pytest.raises(TemplateNotTranslatable) as caught:
        effective_template(source)

    assert (400, "template") == (caught.value.status, caught.value.param)
    assert words in caught.value.message
    assert caught.value.message.startswith("template, line ")


def test_translation_grows_no_faster_than_its_source():
    """However deep comparisons stand within each other, each argument is written once."""
    nested = "1"
    for _ in range(11):
        nested = f"(eq {nested} 1 2 3)"

    translated = to_jinja(MESSAGES + "{{ " + nested + " }}")

    assert len(translated) < len(to_jinja(MESSAGES)) + 1000


def test_jinja_is_left_as_it_is():
    """A template with a `{%` is Jinja2 already; the marks of training are no error in it."""
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"

    assert source == effective_template(source)


@pytest.mark.parametrize("name", [file.stem for file in FOLDER.glob("*.gotmpl")])
def test_translation_is_valid_and_short_of_names(name: str):
    """A template without tools or thinking does not speak of them: others look for these words."""
    translated = effective_template(source_of(name))

    assert ("Tools" in source_of(name)) == ("(tools or" in translated)
    assert ("Think" in source_of(name)) == ("enable_thinking" in translated)


WORDS = """
    {{ }} {{- -}} if else end range with .Messages .Role .Content . $ $x := = | ( ) eq len slice index printf json and
    or not .Response .Prompt .System .Tools .Function.Name .ToolCalls break continue "a" 'b' `c` 1 -1 0x , true nil
    {% %} {{/* */}} {{if {{end}}
"""
WORD = st.sampled_from(WORDS.split())


@given(st.one_of(st.text(), st.lists(WORD).map(" ".join), st.lists(WORD).map("".join)))
@example("{{ range $i, $i := .Messages }}{{ $i }}{{ end }}")
@example("{{ range . }}{{ end }}")
@example("{{ strftime_now }}")
@example("\ud800")
@example("{{ 1.5.Role }}")
@example("{{ range 5 }}{{ . }}{{ end }}")
@example('{{ range "ab" }}{{ . }}{{ end }}')
@example("{{ index 1 2 }}{{ slice 1 }}{{ len 1 }}{{ lt nil 1 }}")
def test_every_text_is_rendered_or_refused(source: str):
    """Whatever is sent as a template, it ends in a prompt or in one of the two errors, and nothing else."""
    try:
        translated = to_jinja(source)
    except TemplateNotTranslatable:
        return
    template = ChatTemplate(translated, bos="", eos="")
    try:
        prompt = template.render([*TALK, answer("", tool_calls=[CALL])], tools=[WEATHER])
    except TemplateRefused:
        return
    assert isinstance(prompt, str)
