"""Words of programming that newcomers ask about, each with one sentence."""

from training.tasks.problem import MEMORISED, Problem, ask
from training.wordings import Draw

# The name with its article, other names for it, and the sentence.
TERMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("a variable", "variables"), "A variable is a name for a value in a program."),
    (("a list", "lists"), "A list holds values in order, as in [1, 2, 3]."),
    (("a tuple", "tuples"), "A tuple is a list that cannot change, as in (1, 2)."),
    (
        ("a dictionary", "a dict", "dictionaries", "dicts"),
        'A dictionary maps keys to values, as in {"a": 1}.',
    ),
    (("a set", "sets"), "A set holds different values in no order, as in {1, 2}."),
    (("a string", "strings", "a str"), "A string is a piece of text in a program."),
    (("an integer", "an int", "integers"), "An integer is a whole number, as in 7."),
    (("a float", "floats"), "A float is a number with a decimal point, as in 1.5."),
    (("a boolean", "a bool", "booleans"), "A boolean is either True or False."),
    (("None",), "None is a value that stands for nothing."),
    (
        ("a function", "functions"),
        "A function is a piece of code with a name that takes inputs and returns a result.",
    ),
    (("an argument", "arguments"), "An argument is a value that is given to a function."),
    (("a parameter", "parameters"), "A parameter is a name for an argument of a function."),
    (("a return value", "return", "the return statement"), "return ends a function with a value."),
    (("a loop", "loops"), "A loop is code that runs again and again."),
    (("a for loop", "for loops"), "A for loop runs code once for each value."),
    (("a while loop", "while loops"), "A while loop runs code as long as a condition is true."),
    (
        ("an if statement", "if statements", "if"),
        "An if statement runs code if a condition is true.",
    ),
    (("a class", "classes"), "A class describes objects: their data and their methods."),
    (("an object", "objects"), "An object is a value that is made from a class."),
    (("a method", "methods"), "A method is a function of an object."),
    (("self",), "self is the object that a method works on."),
    (("__init__", "a constructor", "init"), "__init__ sets up a new object of a class."),
    (("a module", "modules"), "A module is a file of Python code that can be imported."),
    (("import", "the import statement"), "import makes the code of a module available."),
    (("a comment", "comments"), "A comment is a note that Python ignores; it begins with #."),
    (("an index", "indices"), "An index is the position of a value; the first one is 0."),
    (("a slice", "slices", "slicing"), "A slice is a part of a list or string, as in x[1:3]."),
    (("a lambda", "lambdas", "a lambda function"), "A lambda is a small function without a name."),
    (
        ("a list comprehension", "list comprehensions"),
        "A list comprehension makes a list in one line, as in [x * 2 for x in y].",
    ),
    (("recursion", "a recursive function"), "Recursion means that a function calls itself."),
    (("an exception", "exceptions"), "An exception is an error that stops a program."),
    (("a bug", "bugs"), "A bug is a mistake in a program."),
    (("an algorithm", "algorithms"), "An algorithm is a list of steps that solves a problem."),
    (("indentation", "an indent"), "Indentation is the space before a line; it makes blocks."),
    (("print", "the print function", "print()"), "print shows a value on the screen."),
    (("len", "the len function", "len()"), "len gives the length of a list or string."),
    (("range", "the range function", "range()"), "range makes a row of numbers for a loop."),
    (("input", "the input function", "input()"), "input reads a line from the user."),
    (("pip",), "pip is a program that installs Python packages."),
    (("a type", "types", "a data type"), "A type says what kind of value something is."),
    (("an operator", "operators"), "An operator is a sign such as + or * that combines values."),
    (("a keyword", "keywords"), "A keyword is a word that Python keeps for itself, such as if."),
)
QUESTIONS = (
    "What is {term} in [Python|python|programming]?",
    "What's {term} in [Python|python|programming]?",
    "~Explain [what {term} is in Python|{term} in Python|{term} in python].",
    "~[Define|Describe] {term} in [Python|programming].",
    "[Python|python] {term} [meaning|explained|definition]",
    "What does {term} mean in [Python|python|programming]?",
    "~Tell me what {term} [is|means] in [Python|programming].",
    "{term} in [Python|python][: what is it?|, what is that?| meaning| definition]",
    "[In Python|In python|In programming], what is {term}?",
    "What do [programmers|people] mean by {term} in [Python|programming]?",
    "[Can|Could] you explain {term} in [Python|python]?",
    "[What is|What's] the meaning of {term} in [Python|programming]?",
    "[I'm learning Python.|I am new to Python.] What is {term}?",
    "I [do not|don't] understand {term} in Python.",
    "What [is|are] {term} [for|good for] in Python?",
    "How would you [explain|define] {term} in Python?",
)


def explain_term(draw: Draw) -> Problem:
    """Explain a word of programming in one sentence."""
    names, answer = draw.pick(TERMS)
    term = names[0] if draw.chance(0.8) else draw.pick(names)
    asked = draw.say(QUESTIONS, term=term)
    return Problem("code_term", (f"{MEMORISED}:term:{names[0]}",), ask(asked), answer)
