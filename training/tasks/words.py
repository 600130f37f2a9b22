"""Word lists that problems draw from: our own, and those of two packages.

First and last names are Faker's (MIT). The lexicon is the EFF's long list of words for passphrases
(CC BY 3.0 US, Joseph Bonneau), as xkcdpass ships it.
"""

from functools import cache
from importlib.resources import files

from faker.providers.person.en_US import Provider as People

OWN_NAMES = (
    "Anna Ben Carla David Emma Frank Grace Henry Ivy Jack Kate Leo Mia Noah Olga Paul Quinn Rosa "
    "Sam Tina Uma Victor Wendy Xavier Yara Zoe Tom Lily Max Nina Oscar Ruth Sara Hugo Clara Felix "
    "Julia Martin Alice Peter"
).split()
NAMES = tuple(dict.fromkeys([*OWN_NAMES, *People.first_names_female, *People.first_names_male]))
LAST_NAMES = tuple(name for name in People.last_names if name.isalpha())
CITIES = (
    "Paris London Rome Berlin Madrid Oslo Vienna Prague Dublin Lisbon Athens Warsaw Cairo Tokyo "
    "Delhi Lima Boston Chicago Denver Seattle Amsterdam Brussels Munich Hamburg Milan Naples Turin "
    "Venice Florence Barcelona Valencia Seville Porto Geneva Zurich Bern Basel Lyon Nice Marseille "
    "Copenhagen Stockholm Helsinki Bergen Tallinn Riga Vilnius Krakow Budapest Bucharest Sofia "
    "Belgrade Zagreb Istanbul Ankara Moscow Kyiv Beijing Shanghai Seoul Osaka Kyoto Bangkok Hanoi "
    "Manila Jakarta Singapore Sydney Melbourne Perth Auckland Nairobi Lagos Accra Tunis Casablanca "
    "Toronto Montreal Vancouver Ottawa Houston Dallas Austin Phoenix Miami Atlanta Portland "
    "Detroit Memphis Havana Bogota Quito Santiago Caracas Brasilia Glasgow Edinburgh Bristol Leeds "
    "Liverpool Manchester Cardiff Belfast Galway Cork"
).split()
JOBS = (
    "baker teacher doctor farmer pilot nurse writer painter singer driver cook lawyer builder "
    "dentist engineer librarian gardener tailor carpenter plumber electrician waiter chef actor "
    "dancer judge soldier sailor butcher barber photographer journalist scientist programmer "
    "designer architect accountant manager secretary translator mechanic firefighter student "
    "professor vet surgeon"
).split()
ITEMS = (
    "apples oranges books pencils coins stamps cards marbles cookies balloons shells stickers "
    "eggs flowers stones buttons toys cups pears plums candies muffins sandwiches tickets keys "
    "bottles socks hats lamps chairs pens balls kites dolls blocks beads roses tulips lemons"
).split()
COLORS = (
    "red blue green yellow black white brown pink purple orange gray violet silver golden "
    "turquoise beige"
).split()
ANIMALS = (
    "dog cat fox bear rabbit mouse bird horse duck frog pig goat lion owl turtle squirrel cow "
    "sheep hen wolf tiger zebra monkey elephant giraffe hamster parrot penguin hedgehog deer "
    "donkey camel snake lizard fish whale dolphin seal bee ant"
).split()
FOODS = (
    "pizza soup rice bread cheese pasta salad cake fish beans noodles curry sushi tacos pancakes "
    "yogurt chicken toast stew waffles"
).split()
FRUITS = (
    "apple pear fig plum grape banana cherry lemon orange peach mango kiwi melon lime apricot date "
    "papaya coconut raspberry strawberry blueberry pineapple"
).split()
VEGETABLES = (
    "carrot onion potato tomato pepper cabbage spinach lettuce radish turnip leek celery pea bean "
    "corn pumpkin garlic beet"
).split()
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


@cache
def lexicon() -> tuple[str, ...]:
    """English words of three to nine letters."""
    text = files("xkcdpass").joinpath("static/eff-long").read_text("utf-8")
    return tuple(line.split()[-1] for line in text.splitlines() if line.split()[-1].isalpha())


COMMON = tuple(dict.fromkeys([*WORDS, *FRUITS, *VEGETABLES, *ANIMALS, *COLORS, *ITEMS, *FOODS]))
"""Words that newcomers use."""
