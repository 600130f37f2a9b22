"""Closed word lists that the generated problems draw from."""

NAMES = (
    "Anna Ben Carla David Emma Frank Grace Henry Ivy Jack Kate Leo Mia Noah Olga Paul Quinn Rosa "
    "Sam Tina Uma Victor Wendy Xavier Yara Zoe Tom Lily Max Nina Oscar Ruth Sara Hugo Clara Felix "
    "Julia Martin Alice Peter"
).split()
LAST_NAMES = (
    "Smith Jones Brown Miller Davis Clark Lewis Walker Hall Young King Wright Hill Green Baker "
    "Adams Nelson Carter Cooper Reed"
).split()
CITIES = (
    "Paris London Rome Berlin Madrid Oslo Vienna Prague Dublin Lisbon Athens Warsaw Cairo Tokyo "
    "Delhi Lima Boston Chicago Denver Seattle"
).split()
JOBS = (
    "baker teacher doctor farmer pilot nurse writer painter singer driver cook lawyer builder "
    "dentist engineer librarian gardener tailor"
).split()
ITEMS = (
    "apples oranges books pencils coins stamps cards marbles cookies balloons shells stickers "
    "eggs flowers stones buttons toys cups"
).split()
COLORS = "red blue green yellow black white brown pink purple orange gray".split()
ANIMALS = (
    "dog cat fox bear rabbit mouse bird horse duck frog pig goat lion owl turtle squirrel"
).split()
FOODS = "pizza soup rice bread cheese pasta salad cake fish beans".split()
THINGS = "ball key hat kite boat drum book lamp cake bell".split()
PLACES = "forest garden village farm park river house barn lake hill".split()
TRAITS = "little brave kind happy shy clever lazy curious quiet funny".split()
WORDS = (
    "apple river stone cloud table window garden mouse bread light paper music ocean forest candle "
    "bridge ladder pocket button market winter summer engine basket silver copper planet rocket "
    "school doctor tiger zebra monkey orange lemon banana cherry carrot onion potato tomato pepper "
    "butter honey sugar water juice coffee house door chair lamp clock phone radio camera pencil "
    "letter stamp coin ring shoe shirt coat hat glove scarf train boat truck plane wheel road "
    "street city town village island desert valley hill lake beach wave sand snow rain wind storm"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()


def with_article(word: str) -> str:
    """Return `word` after the indefinite article that fits it."""
    return ("an " if word[0] in "aeiou" else "a ") + word
