"""What is said of a GBNF grammar before llama.cpp sees it."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp.worker.gbnf_check import check_gbnf
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintRefused

TOKENS = {"<think>", "<[5]>"}

JSON = r"""
# a comment with "quotes" and ( brackets
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.mark.parametrize(
    "source",
    [
        'root ::= "yes" | "no"',
        JSON,
        'root ::= "a" |\n  "b"\n',
        'root ::=\n "a"\n\n\nx ::= [a-z]+ # end',
        'root ::= "(" root ")" | "x"',
        'root ::= <think> !<[5]>* "a"{2,} [^\\]a-z\\n]{3} .',
        'root ::= ("a"?)*',
        "root ::= ",
        'x ::= "a"\r\nroot ::= x x\r\n',
        'root ::= "a" root "b"? | ""',
        'root ::= [ぁ-ん]+ "\\U0001F600"',
    ],
)
def test_grammars_pass(source):
    """All of the syntax, and recursion anywhere but at the left."""
    check_gbnf(source, TOKENS.__contains__)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "no rule named root"),
        ("# nothing", "no rule named root"),
        ('start ::= "a"', "no rule named root"),
        ("!!!", "line 1: expected the beginning of a rule"),
        ('root ::= "a"\n| "b"', "line 2: expected the beginning of a rule"),
        ('\nroot ::= "a" ; "b"', "line 2: this cannot stand here: '; \"b\"'"),
        ('root ::= "a', "cannot stand here"),
        ('root ::= "\\q"', "cannot stand here"),
        ("root ::= [a", "cannot stand here"),
        ("root ::= [z\\q]", "cannot stand here"),
        ('root ::= ("a"', "expected )"),
        ('root ::= "a")', "cannot stand here"),
        ("root ::= * ", "cannot stand here"),
        ('root ::= "a"{-1}', "cannot stand here"),
        ('root ::= "a"{5,3}', "wrong order"),
        ('root ::= "a"{1,5000}', "more than 2000 times"),
        ("root ::= x\ny ::= z", "line 1: there is no rule named x"),
        ('root ::= "a"\ny ::= z', "line 2: there is no rule named z"),
        ('root ::= root "a" | "b"', "left recursion"),
        ('root ::= x "a"\nx ::= y\ny ::= root | "q"', "left recursion"),
        ('root ::= x? root | "b"\nx ::= "a"', "left recursion"),
        ('root ::= "a"\0"b"', "NUL"),
        ('root ::= ""*', "cannot be repeated"),
        ("root ::= <thinking>", "no such token: '<thinking>'"),
        ("root ::= !<[6]>", "no such token"),
        (f"root ::= {'(' * 20000}", "nested deeper"),
    ],
)
def test_mistakes_are_named(source, reason):
    """With the line, and what stands there."""
    with pytest.raises(ConstraintRefused) as refused:
        check_gbnf(source, TOKENS.__contains__)

    assert reason in str(refused.value)


def test_long_chains_of_rules_are_refused():
    """llama.cpp goes down them on its stack."""
    chain = "".join(f"r{n} ::= r{n + 1}\n" for n in range(20000))

    with pytest.raises(ConstraintRefused, match="too long a chain"):
        check_gbnf(f'root ::= r0\n{chain}r20000 ::= "a"', TOKENS.__contains__)


@pytest.mark.parametrize(
    "source",
    [
        # Twenty lines with a million ways to say nothing.
        "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} r{n + 1}\n" for n in range(20)) + 'r20 ::= "a"?',
        "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} | r{n + 1}\n" for n in range(20)) + 'r20 ::= "a"',
        # The same, where they can only be met after the first character.
        'root ::= "x" r0\n' + "".join(f"r{n} ::= r{n + 1} r{n + 1}\n" for n in range(20)) + 'r20 ::= "a"?',
        "root ::= " + '"a"? ' * 5000,
        'root ::= ("a" | ""){0,2000}',
        "root ::= (" + "|".join(["[a-z]"] * 5000) + ")*",
    ],
)
def test_too_many_readings_are_refused(source):
    """llama.cpp would be busy with them for hours, or for ever."""
    with pytest.raises(ConstraintRefused, match="readings"):
        check_gbnf(source, TOKENS.__contains__)
