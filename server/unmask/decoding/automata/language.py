"""Languages of grammars: each grammar's expression, as an automaton over bytes."""

import json
from collections.abc import Mapping

from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import (
    NOTHING,
    Expression,
    Special,
    concatenation,
    literal,
    repetition,
    union,
)
from unmask.decoding.automata.free_text import text_without
from unmask.decoding.automata.gbnf import is_gbnf, read_gbnf
from unmask.decoding.automata.gemma_notation import Gemma
from unmask.decoding.automata.json_text import COMPACT, INDENTED, any_object, any_value
from unmask.decoding.automata.lark import read_lark
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton, minimize
from unmask.decoding.automata.nfa import compile_bytes
from unmask.decoding.automata.notations import Notation, State, rewritten
from unmask.decoding.automata.python_notation import Python
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.rules import language_of_rules
from unmask.decoding.automata.schema import json_schema
from unmask.decoding.automata.widening import widened_json_schema
from unmask.grammar import (
    OBJECT_NESTING,
    Chain,
    Choice,
    GemmaArguments,
    Grammar,
    GrammarText,
    JsonObject,
    JsonSchema,
    Literal,
    PythonArguments,
    Regex,
    Repeated,
    SpecialToken,
    Text,
)


def language_of(grammar: Grammar, specials: Mapping[str, int], budget: Budget) -> ByteAutomaton:
    """Automaton of a grammar; raises `InvalidGrammar` and `GrammarTooLarge`."""
    language = minimize(compile_bytes(_expression(grammar, budget), specials, budget))
    budget.check("states", len(language.moves), budget.limits.states)
    return language


def _expression(grammar: Grammar, budget: Budget) -> Expression:
    match grammar:
        case JsonSchema(schema, indents, is_exact):
            read = json_schema if is_exact else widened_json_schema
            return read(json.loads(schema), INDENTED if indents else COMPACT, budget)
        case JsonObject(indents):
            spacing = INDENTED if indents else COMPACT
            return any_object(any_value(OBJECT_NESTING - 1, spacing), spacing)
        case Regex(pattern):
            return regex(pattern, looks=True)
        case GrammarText(text):
            return language_of_rules(read_gbnf(text) if is_gbnf(text) else read_lark(text), budget)
        case Text(tags):
            if "" in tags:
                raise InvalidGrammar("a tag is empty")
            return text_without(tags)
        case Literal(text):
            return literal(text)
        case SpecialToken(token):
            return Special(token)
        case GemmaArguments(schema, quote):
            return _arguments(schema, Gemma(_expression(quote, budget)), budget)
        case PythonArguments(schema):
            return _arguments(schema, Python(), budget)
        case Chain(parts):
            return concatenation(*(_expression(part, budget) for part in parts))
        case Choice(parts):
            return union([_expression(part, budget) for part in parts])
        case Repeated(part, least, most):
            return repetition(_expression(part, budget), least, most)


def _arguments(schema: JsonSchema, notation: Notation[State], budget: Budget) -> Expression:
    """Texts of a schema in another notation."""
    of_json = minimize(compile_bytes(_expression(schema, budget), {}, budget)).as_dfa()
    return NOTHING if of_json is None else rewritten(of_json, notation, budget)
