"""Python that newcomers ask for, checked by running it where it can be."""

from collections.abc import Mapping, Sequence

from training.tasks.code.recipes import KNOWN_FUNCTIONS, OPEN_FUNCTIONS, Code, parameters_of, write
from training.tasks.code.recipes_base import Recipe
from training.tasks.code.recipes_classes import CLASSES
from training.tasks.code.recipes_examples import EXAMPLES
from training.tasks.code.recipes_open_prints import OPEN_PRINTS
from training.tasks.code.recipes_open_snippets import OPEN_SNIPPETS
from training.tasks.code.recipes_open_statements import OPEN_STATEMENTS
from training.tasks.code.recipes_programs import PROGRAMS
from training.tasks.code.recipes_requests import (
    ALGORITHMS,
    ARGUMENTS,
    CLASS_REQUESTS,
    FUNCTIONS,
    NAMED,
    OWN_NAMES,
    SAMPLES,
    SIGNED,
    SNIPPETS,
    STATEMENT_TOPICS,
    TOPICS,
)
from training.tasks.code.recipes_snippets import SNIPPETS as STATEMENTS
from training.tasks.problem import MEMORISED, Problem, as_json, ask
from training.wordings import Draw, expand

KNOWN_SNIPPETS = (*STATEMENTS, *EXAMPLES, *PROGRAMS)
REQUESTS: Mapping[str, tuple[str, ...]] = {
    "plain": FUNCTIONS,
    "named": NAMED,
    "signed": SIGNED,
    "arguments": ARGUMENTS,
}
ALGORITHM_KINDS = frozenset(
    "fizzbuzz factorial factorial_recursive fibonacci fibonacci_list bubble_sort quicksort gcd "
    "binary_search two_sum caesar is_palindrome is_anagram calculate hello is_prime stack lcm "
    "is_leap_year make_password collatz merge_dicts".split()
)
ALIASES = {
    "reverse_string": "reverse rev reverse_str reverseString reverse_word reverse_text flip",
    "is_palindrome": "palindrome isPalindrome check_palindrome is_pal",
    "is_prime": "prime isPrime check_prime is_prime_number",
    "is_even": "even isEven check_even",
    "is_odd": "odd isOdd check_odd",
    "factorial": "fact factorial_of",
    "fibonacci": "fib nth_fibonacci fibo",
    "count_vowels": "vowels countVowels num_vowels vowel_count",
    "to_upper": "upper uppercase toUpper to_uppercase make_upper",
    "to_lower": "lower lowercase toLower to_lowercase make_lower",
    "count_words": "words word_count countWords num_words",
    "sum_list": "sum_all sum_numbers list_sum total sumList add_all sum_of_list",
    "average": "avg mean get_average list_average",
    "find_max": "largest max_list get_max biggest findMax",
    "find_min": "smallest min_list get_min findMin",
    "sort_list": "sort sort_numbers sortList sort_items",
    "remove_duplicates": "unique dedupe removeDuplicates remove_dups deduplicate",
    "filter_evens": "evens get_evens even_numbers filter_even only_evens",
    "filter_odds": "odds get_odds odd_numbers filter_odd",
    "square_all": "squares square_list square_numbers square_each",
    "double_all": "double_list double_numbers double_each",
    "reverse_list": "reversed_list reverseList list_reverse",
    "add": "sum_two add_numbers add_two plus",
    "multiply": "mul times product_of mult",
    "subtract": "sub minus difference",
    "divide": "div quotient",
    "power": "exp exponent raise_to",
    "gcd": "greatest_common_divisor find_gcd",
    "lcm": "least_common_multiple find_lcm",
    "maximum": "larger max_of_two bigger max2",
    "minimum": "smaller min_of_two min2",
    "fizzbuzz": "fizz_buzz fizzBuzz FizzBuzz",
    "is_anagram": "anagram isAnagram are_anagrams anagrams",
    "greet": "say_hello hello greeting greet_user",
    "hello_world": "hello_function helloWorld say_hello_world",
    "circle_area": "area_of_circle area_circle circleArea",
    "rectangle_area": "area area_of_rectangle rect_area area_rectangle",
    "celsius_to_fahrenheit": "c_to_f to_fahrenheit celsius_to_f",
    "fahrenheit_to_celsius": "f_to_c to_celsius fahrenheit_to_c",
    "merge_dicts": "merge combine_dicts mergeDicts merge_dictionaries",
    "flatten": "flatten_list flat flatten_lists",
    "is_leap_year": "leap_year isLeapYear is_leap leap",
    "square": "squared square_number",
    "swap": "swap_numbers swap_values exchange",
    "binary_search": "bin_search binarySearch",
    "bubble_sort": "bubblesort bubbleSort",
    "quicksort": "quick_sort quickSort qsort",
    "longest_word": "longest find_longest_word longestWord",
    "digit_sum": "sum_digits sum_of_digits sumDigits",
    "string_length": "length str_length get_length",
    "median": "get_median find_median",
    "two_sum": "twoSum two_sums",
}
OPEN_CODE = (*OPEN_FUNCTIONS, *CLASSES, *OPEN_SNIPPETS, *OPEN_STATEMENTS, *OPEN_PRINTS)


def draw_recipe(draw: Draw, recipes: Sequence[Recipe]) -> Recipe:
    """One of the recipes by weight."""
    return draw.rng.choices(recipes, [recipe.weight for recipe in recipes])[0]


def source_key(source: str) -> str:
    """The key of a problem whose answer is a source."""
    return "code:" + source


def cases_of(code: Code) -> list[list[str]]:
    """Expressions with the `repr` of their values."""
    scope: dict[str, object] = {}
    exec(code.source, scope)
    return [[call, repr(eval(call, scope))] for call in code.calls]


def request(draw: Draw, code: Code, templates: Sequence[str]) -> str:
    """A wording that asks for the code."""
    said = code.said
    is_function = code.recipe.form == "function"
    return draw.say(
        templates,
        do=said.do,
        Do=said.do[:1].upper() + said.do[1:],
        does=said.does,
        doing=said.doing,
        noun=said.do,
        name=written_name(draw, code.name),
        line=code.signature if is_function else "",
        call=code.call if is_function else "",
        args=described_arguments(draw, code.parameters),
    )


def written_name(draw: Draw, name: str) -> str:
    """The name of a function as people write it, mostly as it is."""
    return draw.rng.choices(("{}", "`{}`", "{}()", '"{}"'), (80, 7, 9, 4))[0].format(name)


def described_arguments(draw: Draw, parameters: Sequence[str]) -> str:
    """Parameters with a word that says what they are."""
    noun = draw.pick(("argument", "parameter", "argument", "parameter", "input"))
    if len(parameters) < 2:
        return f"{noun} {''.join(parameters)}"
    joint = draw.pick((", ", " and "))
    return f"{noun}s {', '.join(parameters[:-1])}{joint}{parameters[-1]}"


def problem_of(task: str, key: str, asked: str, code: Code) -> Problem:
    """The problem of writing the code."""
    cases = cases_of(code) if code.calls else []
    checker, reference = ("python", as_json(cases)) if cases else ("exact", None)
    raw = None
    if code.recipe.form == "function" and code.source.startswith("def "):
        first, rest = code.source.split("\n", 1)
        raw = (f"{first}\n", rest)
        if task == "code":
            raw = (f"# {code.said.do}\n{first}\n", rest)
    return Problem(task, (key,), ask(asked), code.source, checker, reference, raw)


def known_python(draw: Draw) -> Problem:
    """Write a well-known function or statement under its own name."""
    if draw.chance(0.02):
        recipe = next(recipe for recipe in EXAMPLES if recipe.kind == "define_function")
        code = write(draw, recipe)
        return problem_of("python", f"{MEMORISED}:python:sample", draw.say(SAMPLES), code)
    if draw.chance(0.28):
        recipe = draw_recipe(draw, KNOWN_SNIPPETS)
        kind = draw.rng.choices(("statement", "topic"), (75, 25))[0]
    else:
        recipe = draw_recipe(draw, KNOWN_FUNCTIONS)
        kinds = ("plain", "topic", "only_name", "named", "signed")
        kind = draw.rng.choices(kinds, (56, 20, 10, 8, 6))[0]
    own = tuple(parameters_of(recipe.source)) if recipe.form == "function" else ()
    alias = ALIASES.get(recipe.kind) if kind == "only_name" and draw.chance(0.5) else None
    while True:
        code = write(draw, recipe, name=draw.pick(alias.split()) if alias else None)
        # A parameter that the request does not tell must have its own name.
        if kind in ("plain", "named", "signed") or code.parameters == own:
            break
    key = f"{MEMORISED}:python:{code.source}"
    if kind == "topic":
        topic = expand(draw.rng, draw.pick(recipe.topics or recipe.phrases))
        templates: tuple[str, ...] = TOPICS
        if recipe.form != "function":
            templates = STATEMENT_TOPICS
        if recipe.kind in ALGORITHM_KINDS and draw.chance(0.5):
            templates = ALGORITHMS
        return problem_of("python", key, draw.say(templates, topic=draw.slipped(topic)), code)
    others: Mapping[str, tuple[str, ...]] = {"statement": SNIPPETS, "only_name": OWN_NAMES}
    asked = request(draw, code, others.get(kind) or REQUESTS[kind])
    return problem_of("python", key, asked, code)


def python_function(draw: Draw) -> Problem:
    """Write Python with numbers, words or names that the request gives."""
    if draw.chance(0.3):
        recipe = draw_recipe(draw, KNOWN_FUNCTIONS)
        kinds = (0, 55, 35, 10)
    else:
        recipe = draw_recipe(draw, OPEN_CODE)
        kinds = (55, 20, 15, 10)
    if recipe.form != "function":
        code = write(draw, recipe)
        asked = request(draw, code, CLASS_REQUESTS if recipe.form == "class" else SNIPPETS)
        return problem_of("code", source_key(code.source), asked, code)
    kind = draw.rng.choices(("plain", "named", "signed", "arguments"), kinds)[0]
    code = write(
        draw,
        recipe,
        new_name=kind in ("named", "signed"),
        new_parameters=kind in ("signed", "arguments"),
    )
    if kind == "arguments" and not code.parameters:
        kind = "plain"
    return problem_of("code", source_key(code.source), request(draw, code, REQUESTS[kind]), code)
