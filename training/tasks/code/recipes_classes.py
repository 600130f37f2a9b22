"""Recipes of classes.

Slots: `W` and `X` names of classes, `u` and `t` fields, `m` a method, `w` and `x` words.
"""

from training.tasks.code.recipes_base import Recipe

CLASSES = (
    Recipe(
        "field",
        "class {W}:\n    def __init__(self, {u}={n}):\n        self.{u} = {u}",
        (
            "{W} with a field {u} that defaults to {n}",
            "{W} with an attribute {u} that is {n} by default",
            "{W} with [a field|an attribute] {u} with the default [value |]{n}",
            "{W} that has [a field|an attribute] {u}, by default {n}",
            "called {W} with [a field|an attribute] {u} = {n}",
            "{W} whose [field|attribute] {u} [is {n} by default|defaults to {n}]",
        ),
        (),
        ("{W}().{u}", "{W}(3).{u}", "{W}({u}=4).{u}"),
        form="class",
    ),
    Recipe(
        "one_field",
        "class {W}:\n    def __init__(self, {u}):\n        self.{u} = {u}",
        (
            "{W} with a field {u}",
            "{W} with [an attribute|one attribute] {u}",
            "{W} with [a|one] {u} [attribute|field|property]",
            "{W} that [has|stores] [a|one] {u}",
            "[called|named] {W} with [a field|an attribute] {u}",
            "{W} whose only [field|attribute] is {u}",
            "{W} with [a constructor|an __init__|an init] that takes {u}",
        ),
        (),
        ("{W}(3).{u}", "{W}({u}=4).{u}"),
        form="class",
    ),
    Recipe(
        "two_fields",
        "class {W}:\n    def __init__(self, {u}, {t}):\n        self.{u} = {u}\n"
        "        self.{t} = {t}",
        (
            "{W} with [fields|the fields|attributes|the attributes] {u} and {t}",
            "{W} with {u} and {t}[| attributes| fields| properties]",
            "{W} that has [a |]{u} and [a |]{t}",
            "[called|named] {W} with [fields|attributes] {u} and {t}",
            "{W} with two [fields|attributes], {u} and {t}",
            "{W} with [a constructor|an __init__|an init] that takes {u} and {t}",
            "for a {w} with [a |]{u} and [a |]{t}",
        ),
        (),
        ("{W}(3, 4).{u}", "{W}(3, 4).{t}"),
        form="class",
        weight=2,
    ),
    Recipe(
        "empty_class",
        "class {W}:\n    pass",
        (
            "{W}",
            "[called|named] {W}",
            "{W} that [is empty|does nothing]",
            "{W} without [anything|fields|attributes]",
            "{W} with nothing in it",
            "with the name {W}",
        ),
        (),
        ("{W}.__name__",),
        form="class",
    ),
    Recipe(
        "method",
        'class {W}:\n    def {m}(self):\n        return "{x}"',
        (
            '{W} with a method {m} that returns ["{x}"|{x}]',
            '[called|named] {W} with a method {m} that returns ["{x}"|{x}]',
            '{W} whose method {m} returns ["{x}"|{x}]',
            '{W} with a method called {m} returning ["{x}"|{x}]',
            '{W} that has a {m} method returning ["{x}"|{x}]',
            '{W} with one method {m} which gives ["{x}"|{x}]',
        ),
        (),
        ("{W}().{m}()",),
        form="class",
    ),
    Recipe(
        "inherit",
        "class {W}({X}):\n    pass",
        (
            "{W} that inherits from {X}",
            "{W} that extends {X}",
            "{W} that is a subclass of {X}",
            "[called|named] {W} that inherits from {X}",
            "{W} with the [base|parent] class {X}",
            "{W} derived from {X}",
        ),
        (),
        (),
        form="class",
    ),
)
