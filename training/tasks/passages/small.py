"""Scenes of passages: contacts, secrets, animals with names and colors, counted things."""

from training.tasks.passages.facts import Attribute, Scene, numbers, people, words
from training.tasks.words import ANIMALS, COLORS, ITEMS
from training.wordings import Draw

HOSTS = "example.com mail.com test.org post.net example.org inbox.io".split()
SECRETS = (
    "the password",
    "the code",
    "the PIN",
    "the secret number",
    "the secret word",
    "the key code",
    "the room number",
    "the door code",
    "the magic word",
    "the wifi password",
    "the locker number",
    "the order number",
)
PETS = tuple(animal for animal in ANIMALS if animal[0] not in "aeiou")


def mails(draw: Draw, count: int) -> list[str]:
    """Different mail addresses."""
    return [f"{word}@{draw.pick(HOSTS)}" for word in draw.distinct(count)]


def phones(draw: Draw, count: int) -> list[str]:
    """Different phone numbers of seven digits."""
    return [f"555-{number}" for number in draw.rng.sample(range(1000, 10000), count)]


def secrets(draw: Draw, count: int) -> list[str]:
    """Different numbers or words."""
    if draw.chance(0.5):
        return draw.distinct(count)
    return [str(number) for number in draw.rng.sample(range(10, 10000), count)]


def named_pets(draw: Draw, count: int) -> list[str]:
    """Animals with their names: `dog Rex`."""
    animals = draw.slots(PETS, count)
    return [f"{animal} {name}" for animal, name in zip(animals, people(draw, count), strict=True)]


CONTACT = Scene(
    people,
    {
        "mail": Attribute(
            "{S}'s email is {v}.",
            (
                "{S}'s [email|email address|mail address] is {v}.",
                "The email [address |]of {s} is {v}.",
                "You can write to {s} at {v}.",
                "{S} has the email address {v}.",
                "{S} can be reached at {v}.",
                "{S} uses the address {v}.",
            ),
            (
                "What is {s}'s [email|email address|mail address]?",
                "What is the email [address |]of {s}?",
                "[Email|Mail] of {s}?",
                "~[Tell me|Give me|Find] {s}'s email[ address|].",
                "[Which|What] email [address |]does {s} have?",
                "At [which|what] address can I write to {s}?",
                "How can I write to {s}?",
                "Where do I [send mail|write] to {s}?",
            ),
            mails,
            ("Whose email is {v}?", "Who has the email [address |]{v}?"),
            ("Is {s}'s email {v}?",),
        ),
        "phone": Attribute(
            "{S}'s phone number is {v}.",
            (
                "{S}'s [phone number|number|telephone number] is {v}.",
                "The phone number of {s} is {v}.",
                "You can call {s} at {v}.",
                "Call {s} at {v}.",
                "{S} has the number {v}.",
                "{S} can be called at {v}.",
            ),
            (
                "What is {s}'s [phone number|number|telephone number]?",
                "What is the [phone |]number of {s}?",
                "[Phone|Phone number|Number] of {s}?",
                "~[Tell me|Give me|Find] {s}'s phone number.",
                "[Which|What] phone number does {s} have?",
                "At [which|what] number can I call {s}?",
                "How can I call {s}?",
                "Which number [do I dial|must I call] for {s}?",
            ),
            phones,
            ("Whose phone number is {v}?", "Who has the number {v}?"),
            ("Is {s}'s phone number {v}?",),
        ),
    },
)
SECRET = Scene(
    words(SECRETS),
    {
        "secret": Attribute(
            "{S} is {v}.",
            (
                "{S} is {v}.",
                "{S} is {v}.",
                "Remember {s}: {v}.",
                "They changed {s} to {v}.",
                "[Today|Now] {s} is {v}.",
                "For {s} use {v}.",
            ),
            (
                "What is {s}?",
                "What is {s} again?",
                "~[Tell me|Give me|Find|Repeat] {s}.",
                "{s}?",
                "{s} is [what|which]?",
                "I forgot {s}. What is it?",
                "What do I need for {s}?",
                "Do you know {s}?",
            ),
            secrets,
            (),
            ("Is {s} {v}?",),
        ),
    },
)
PET_NAME = Scene(
    people,
    {
        "pet_name": Attribute(
            "{S}'s {f} is called {h}.",
            (
                "{S} has a {f} [named|called] {h}.",
                "{S}'s {f} is [called|named] {h}.",
                "The name of {s}'s {f} is {h}.",
                "{S} owns a {f} [named|called] {h}.",
                "{S} has a {f}, {h}.",
                "{S} [bought|got|found] a {f} and called it {h}.",
            ),
            (
                "What is [the name of {s}'s {f}|{s}'s {f} called]?",
                "What is {s}'s {f} named?",
                "[Name|The name] of {s}'s {f}?",
                "~[Tell me|Give me|Find] the name of {s}'s {f}.",
                "[Who|What] is {h}?",
                "How did {s} call the {f}?",
                "{s}'s {f} is called what?",
                "What is the name of {s}'s pet?",
            ),
            named_pets,
            ("Whose {f} is called {h}?", "Who has a {f}?", "Who owns {h}?", "Whose pet is {h}?"),
            ("Is {s}'s {f} called {h}?",),
        ),
    },
)
COAT = Scene(
    words(ANIMALS, "the {}"),
    {
        "coat": Attribute(
            "{S} is {v}.",
            (
                "{S} is {v}.",
                "{S} is {v}.",
                "{S} has the color {v}.",
                "The color of {s} is {v}.",
                "{S} [looks|seems] {v}.",
                "{S} is [all|completely] {v}.",
            ),
            (
                "[What|Which] [color|colour] is {s}?",
                "What is the [color|colour] of {s}?",
                "[Color|Colour] of {s}?",
                "~[Tell me|Find|Say] the color of {s}.",
                "{s} is [what|which] [color|colour]?",
                "[What|Which] [color|colour] does {s} have?",
            ),
            words(COLORS),
            ("[Which animal|What|Who] is {v}?", "Which of them is {v}?"),
            ("Is {s} {v}?",),
        ),
    },
)
COUNTED = Scene(
    words(ITEMS),
    {
        "number": Attribute(
            "There are {v} {s}.",
            (
                "There are {v} {s} [on the table|in the box|in the basket|on the shelf].",
                "There are {v} {s}.",
                "We have {v} {s}.",
                "I [see|have|bought|counted] {v} {s}.",
                "You can see {v} {s}.",
                "{v} {s} are [on the table|in the box|in the bag].",
            ),
            (
                "How many {s} are there?",
                "How many {s}?",
                "[Number|Count|The number] of {s}?",
                "~[Tell me|Say] how many {s} there are.",
                "How many {s} [do we have|do I have|can you see]?",
                "What is the number of {s}?",
                "~Count the {s}.",
            ),
            numbers(2, 30),
            ("Of what are there {v}?",),
            ("Are there {v} {s}?",),
        ),
    },
)
