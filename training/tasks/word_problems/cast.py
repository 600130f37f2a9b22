"""People and things of word problems, with the grammar that their sentences need."""

from dataclasses import dataclass

from faker.providers.person.en_US import Provider as People

from training.tasks.numbers.numerals import number_in_words
from training.tasks.words import with_article
from training.wordings import Draw

EDIBLE = (
    "apple:apples orange:oranges cookie:cookies egg:eggs pear:pears plum:plums candy:candies "
    "muffin:muffins sandwich:sandwiches banana:bananas peach:peaches cherry:cherries mango:mangoes "
    "cake:cakes sweet:sweets donut:donuts pancake:pancakes grape:grapes strawberry:strawberries "
    "chocolate:chocolates nut:nuts carrot:carrots tomato:tomatoes cupcake:cupcakes bun:buns "
    "biscuit:biscuits pizza:pizzas lollipop:lollipops fig:figs berry:berries"
).split()
OBJECTS = (
    "book:books pencil:pencils coin:coins stamp:stamps card:cards marble:marbles balloon:balloons "
    "shell:shells sticker:stickers flower:flowers stone:stones button:buttons toy:toys cup:cups "
    "ticket:tickets key:keys bottle:bottles hat:hats lamp:lamps chair:chairs pen:pens ball:balls "
    "kite:kites doll:dolls block:blocks bead:beads rose:roses tulip:tulips lemon:lemons car:cars "
    "crayon:crayons notebook:notebooks shirt:shirts magazine:magazines game:games potato:potatoes "
    "photo:photos comic:comics brick:bricks candle:candles plate:plates spoon:spoons onion:onions"
).split()
GOODS = (*EDIBLE, *EDIBLE, *OBJECTS)
FEMALE, MALE = set(People.first_names_female), set(People.first_names_male)
ROLES = (
    *("farmer", "teacher", "baker", "student", "child", "kid", "shopkeeper", "gardener", "person"),
    *("collector", "cook", "neighbor", "worker", "driver"),
)
RELATIVES = (
    *("mother:she", "father:he", "brother:he", "sister:she", "mom:she", "dad:he", "friend:she"),
    *("friend:he", "cousin:she", "cousin:he", "uncle:he", "aunt:she", "grandma:she", "son:he"),
    *("daughter:she", "teacher:she"),
)
NAME_SHARE, OWN_SHARE = 0.58, 0.28  # of requests on a named person, and of those on "I"
CASUAL_SHARE = 0.08  # of names in lower case
SPOKEN_SHARE = 0.07
LARGEST_SPOKEN = 30
SIZES = (10, 10, 10, 20, 20, 20, 60, 60, 100)


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing that is counted."""

    one: str
    many: str

    def count(self, number: int) -> str:
        """The number with its noun: `1 apple`, `5 apples`."""
        return f"{number} {self.of(number)}"

    def of(self, number: int) -> str:
        """The noun in the form that fits the number."""
        return self.one if number == 1 else self.many

    def slots(self) -> dict[str, str]:
        """Slots of requests: `item`, `items`, `anitem`."""
        return {"item": self.one, "items": self.many, "anitem": with_article(self.one)}


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever has or does things, in a request and in its answer."""

    first: str  # `a farmer`, `Anna`, `I`
    again: str  # `the farmer`, `Anna`, `I`
    pronoun: str
    told: str  # `The farmer`, `Anna`, `You`: in the answer

    @property
    def is_third(self) -> bool:
        """True if the verbs end in -s."""
        return self.pronoun in ("she", "he")

    def has(self) -> str:
        """Subject and verb of an answer: `Anna has`, `You have`."""
        return f"{self.told} {'has' if self.is_third else 'have'}"

    def verb(self, base: str) -> str:
        """Subject and a regular verb of an answer: `Anna needs`, `You need`."""
        return f"{self.told} {base}{'s' if self.is_third else ''}"

    def slots(self) -> dict[str, str]:
        """Slots of requests; capitals where a sentence begins with the slot."""
        third = self.is_third
        forms = {
            "she": ("her", "her", "is", "was"),
            "he": ("his", "him", "is", "was"),
            "I": ("my", "me", "am", "was"),
            "you": ("your", "you", "are", "were"),
        }
        her, him, is_, was = forms[self.pronoun]
        is_named = self.first == self.told
        return {
            "a": self.first,
            "A": self.first if is_named else _capital(self.first),
            "tag": "Me" if self.first == "I" else self.first,
            "the": self.again,
            "The": self.again if is_named else _capital(self.again),
            "she": self.pronoun,
            "She": _capital(self.pronoun),
            "her": her,
            "Her": _capital(her),
            "him": him,
            "me": him if self.pronoun in ("I", "you") else self.again,
            "has": "has" if third else "have",
            "does": "does" if third else "do",
            "s": "s" if third else "",
            "es": "es" if third else "",
            "is": is_,
            "was": was,
        }


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def thing(draw: Draw, nouns: tuple[str, ...] | list[str] = GOODS) -> Noun:
    """A thing that may be counted; test requests may count things that were never trained on."""
    one, many = draw.slot(nouns).split(":")
    return Noun(one, many)


def person_name(draw: Draw) -> str:
    """A first name, sometimes in lower case."""
    name = draw.name()
    return name.lower() if draw.chance(CASUAL_SHARE) else name


def actor(draw: Draw) -> Actor:
    """A person by name, mostly; or whoever asks, or a farmer, a teacher, a sister."""
    kind = draw.rng.random()
    pronoun = draw.pick(("she", "he"))
    if kind < NAME_SHARE:
        name = person_name(draw)
        if (name.title() in FEMALE) != (name.title() in MALE):
            pronoun = "she" if name.title() in FEMALE else "he"
        return Actor(name, name, pronoun, name)
    if kind < NAME_SHARE + OWN_SHARE:
        return Actor("I", "I", "I", "You")
    if kind < NAME_SHARE + OWN_SHARE + 0.02:
        return Actor("you", "you", "you", "You")
    if draw.chance(0.4):
        role = draw.slot(ROLES)
        return Actor(with_article(role), f"the {role}", pronoun, f"The {role}")
    role, pronoun = draw.slot(RELATIVES).split(":")
    return Actor(f"my {role}", f"my {role}", pronoun, f"Your {role}")


def third_person(draw: Draw, other: Actor | None = None) -> Actor:
    """A named person, or a relative; not the other one."""
    while True:
        found = actor(draw)
        if not found.is_third or (other is not None and found.again == other.again):
            continue
        if other is None or other.is_third or found.again == found.first:
            return found


def number_shown(draw: Draw, *values: int) -> list[str]:
    """Numbers in digits, sometimes all in words."""
    if all(0 < value <= LARGEST_SPOKEN for value in values) and draw.chance(SPOKEN_SHARE):
        return [number_in_words(value) for value in values]
    return list(map(str, values))


def small(draw: Draw, low: int = 2) -> int:
    """A number as in school books: mostly below twenty."""
    return draw.rng.randint(low, draw.pick(SIZES))


def money(draw: Draw) -> Noun:
    """A currency."""
    return draw.pick(
        (
            *(Noun("dollar", "dollars"),) * 6,
            *(Noun("euro", "euros"),) * 2,
            Noun("pound", "pounds"),
            Noun("cent", "cents"),
        )
    )


def price(draw: Draw, amount: int, currency: Noun) -> str:
    """An amount of money as people write it."""
    signs = {"dollar": "$", "euro": "€", "pound": "£"}
    if (sign := signs.get(currency.one)) and draw.chance(0.4):
        return f"{sign}{amount}"
    return currency.count(amount)
