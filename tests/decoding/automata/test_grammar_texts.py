"""Grammars in GBNF and in Lark's language: the texts that they accept, and the errors they get."""

import json
from random import Random

import pytest

from tests.support.automata import random_word
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.grammar import Chain, GrammarText, Literal

JSON_GBNF = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u00" [0-7] [0-9a-fA-F]) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [1-9]{1,2})? ws
ws ::= | " " | "\n" [ \t]{0,4}
"""
JSON_LARK = r"""
// JSON
?start: value
?value: object | array | string
      | SIGNED_NUMBER      -> number
      | "true"             -> true
      | "false" | "null"
array  : "[" [value ("," value)*] "]"
object : "{" [pair ("," pair)*] "}"
pair   : string ":" value
string : STRING
STRING.2: /"([^"\\\n\x00-\x1f]|\\["\\bfnrt\/])*"/
SIGNED_NUMBER: "-"? ("0" | /[1-9]/ DIGIT~0..9) ["." DIGIT+]
%import common (DIGIT, WS)
%ignore WS
%ignore /#[^\n]*/
"""
SUM = """
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> sub
?product: atom | product "*" atom
!?atom: NUMBER | "-" atom | NAME | "(" sum ")"
%import common.CNAME -> NAME
%import common.INT -> NUMBER
%ignore " "
"""
# A grammar, texts that it accepts, texts that it refuses.
CASES = {
    "texts": (
        r'root ::= "a\"\\\n\x41\u00e9\U0001F600" | "" | "b" "c"',
        ['a"\\\nAé😀', "", "bc"],
        ["a", "b"],
    ),
    "classes": (
        r"root ::= [a-c\]\-] [^\n\x00-\x20] [-x] [x-] .",
        ["aé-x\n", "]zx-é", "-!-xa"],
        ["d!--a", "a -xa"],
    ),
    "times": (
        'root ::= "a"{2} "b"{1,2} "c"{,2} "d"{0,} ("e" | f)+\nf ::= "f"?',
        ["aabccdddef", "aabb"],
        ["abe", "aabbbe", "aabccce"],
    ),
    "comments": (
        '# root ::= "x"\nroot ::= # here\n  a-b |\n "c" # "d"\n\na-b ::=\n"e"',
        ["e", "c"],
        ["x", "d"],
    ),
    "names": (
        'root ::= 2nd{2} -- _x\n2nd ::= [0-9]\n-- ::= "-"\n_x ::= 2nd+',
        ["12-3", "00-11"],
        ["1-3", "12-"],
    ),
    "a list": ('root ::= "[" items "]"\nitems ::= "a" ("," items)?', ["[a" + ",a" * 90 + "]"], []),
    "lark strings": (
        r"""start: "a\n\u00e9"i B "c".."e" |
        /x\/[yz]/
        B: "\\" | "'" ~ 2""",
        ["a\né\\c", "A\nÉ''e", "x/y"],
        ["a\né'c", "a\né\\f", "x/"],
    ),
    "lark with the sign of the other language": (
        '// root ::= "a"\nstart: name "::=" name  // x ::= y\nname: /[a-z]/',
        ["a::=b"],
        ["a"],
    ),
    "lark times": (
        'start: ("a" | b)~2..3 [c] "d"*\n_b: "x"\nb.1: "b"+\nc: "c"?',
        ["aa", "abba", "bbbcdd"],
        ["a", "aaaac"],
    ),
    "lark gaps": (SUM, ["1+2", "a + b*( 3-- 4)", "1" + " - 1" * 90], ["1  + 2", "1+ ", "1\n+2"]),
    "lark terminals have no gaps": (
        'start: A B\nA: "a" "b"\nB: "c" "d"\n%ignore /\\s+/',
        ["abcd", "ab cd", "ab\n  cd"],
        ["a bcd", "ab\tcd", "abcd "],
    ),
    "lark library": (
        "start: ESCAPED_STRING C_COMMENT\n%import common.ESCAPED_STRING\n%import common.C_COMMENT",
        [r'"a\"\\"/***a*b**/'],
        ['"a\\"/**/', '""/**/*/'],
    ),
}


def language(text: str) -> ByteAutomaton:
    return language_of(GrammarText(text), {}, Budget())


@pytest.mark.parametrize("name", CASES)
def test_a_grammar_accepts_its_texts_only(name: str) -> None:
    text, accepted, refused = CASES[name]
    made = language(text)
    for word in accepted:
        assert made.matches(word.encode()), word
    for word in refused:
        assert not made.matches(word.encode()), word


@pytest.mark.parametrize("text", [JSON_GBNF, JSON_LARK], ids=["gbnf", "lark"])
def test_grammars_of_json_write_json(text: str) -> None:
    made = language(text)
    for value in ({}, {"a": [1, -2.5, {"b": [[], "c\n"]}], "é": True}, {"a": {"b": {"c": None}}}):
        assert made.matches(json.dumps(value, ensure_ascii=False).encode()), value
    for seed in range(100):
        json.loads(random_word(made, Random(seed), seed))


def test_grammars_are_parts_of_others() -> None:
    grammar = Chain((Literal("<"), GrammarText('root ::= "a" root | "b"'), Literal(">")))
    assert language_of(grammar, {}, Budget()).matches(b"<aab>")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "", "no rule 'start'"),
        ('answer ::= "a"', "", "no rule 'root'"),
        ('root ::= "a"\n\nroot ::= "b"', "line 3", "twice"),
        ('root ::= "a" |\n  missing "b"', "line 2", "not there, before 'missing"),
        ('root ::= ("a"', "line 1", ") is missing"),
        ('root ::= "a")', "line 1", "a rule"),
        ('root ::= "a', "line 1", "is expected, before '\"a'"),
        ("root ::= [a", "line 1", "is expected"),
        ("root ::= [b-a]", "line 1", "out of order"),
        (r'root ::= "\q"', "line 1", "no escape"),
        (r'root ::= "\xZZ"', "line 1", "no escape"),
        (r"root ::= [\u12-z]", "line 1", "no escape"),
        (r'root ::= "\U00110000"', "line 1", "no character"),
        ('root ::= "a"{2,1}', "line 1", "out of order"),
        ('root ::= "a"{x}', "line 1", "number of times"),
        ("root ::= <think>", "line 1", "is expected"),
        ("root ::= " + "(" * 61, "line 1", "over 60 deep"),
        ('start: "a"\nstart: "b"', "line 2", "twice"),
        ("start: a", "line 1", "not there"),
        ('start: "a"\n%extend x: "b"', "line 2", "%extend"),
        ("start: A\n%import python.NAME -> A", "line 2", "only common"),
        ("start: A\n%import common.A", "line 2", "common has no 'A'"),
        ("start: /a/i", "line 1", "flags"),
        ("start: /(?=a)/", "character 1", "lookahead"),
        ('start: sep{"a"}\nsep{x}: x', "line 1", "is expected, before '{"),
        ('start: "a".."bc"', "line 1", "range"),
        ('start: "a"~b', "line 1", "~ needs"),
        ("start: <|end|>", "line 1", "is expected"),
        ('{"type": "object"}', "line 1", "a rule"),
    ],
)
def test_an_error_tells_the_line_and_the_reason(text: str, place: str, reason: str) -> None:
    with pytest.raises(InvalidGrammar) as error:
        language(text)
    assert place in error.value.path
    assert reason in str(error.value)


def test_long_grammars_are_refused() -> None:
    with pytest.raises(GrammarTooLarge, match="100000 characters"):
        language("#" * 100_001)
