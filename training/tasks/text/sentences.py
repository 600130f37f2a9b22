"""Plain sentences out of word lists, used as texts to copy, change, count in or fill in."""

from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    DAYS,
    FOODS,
    FRUITS,
    ITEMS,
    JOBS,
    MONTHS,
    PLACES,
    THINGS,
    TRAITS,
    with_article,
)
from training.wordings import Draw, expand

# Sentences that newcomers type.
FAMILIAR = (
    "Hello, how are you?",
    "Hello world",
    "Hello, world!",
    "How are you today?",
    "Good morning, everyone.",
    "Thank you very much!",
    "The quick brown fox jumps over the lazy dog.",
    "The cat sat on the mat.",
    "I love you.",
    "I love programming.",
    "I like pizza and pasta.",
    "This is a test.",
    "This is a simple sentence.",
    "My name is Anna.",
    "The sky is blue.",
    "The sun is shining.",
    "It is raining today.",
    "What time is it?",
    "Where is my phone?",
    "See you later!",
    "Practice makes perfect.",
    "To be or not to be",
    "Roses are red, violets are blue.",
    "The early bird catches the worm.",
    "Time flies when you are having fun.",
    "Have a nice day!",
    "I am learning to code.",
    "We are going home now.",
    "She sells sea shells by the sea shore.",
    "The dog barks at the mailman.",
    "I want to eat some cake.",
    "My dog is very happy.",
    "Once upon a time there was a king.",
    "All is well that ends well.",
    "Nothing is impossible.",
    "Keep calm and carry on",
    "one two three four five",
    "red green blue",
    "Can you hear me?",
    "Let us go to the beach.",
)
PATTERNS = (
    "The {trait} {animal} [sat in|ran to|looked at|slept near|walked around] the {place}.",
    "{name} [bought|found|lost|saw|has|wants|took] {a_color} {thing}.",
    "{name} and {other} [went|walked|drove|ran|came] to the {place}.",
    "The {animal} [likes|eats|wants|loves] {food}.",
    "I [like|love|eat|want|hate|need] {food}[| and {food2}].",
    "I have {number} {items}[| and {number2} {items2}].",
    "My {thing} is {color}[| and very old| and my {thing2} is {color2}].",
    "{name} lives in {city}[| and works as {a_job}].",
    "{name} is [a|a very good|a young|a friendly] {job}.",
    "We [go|went|will go|are going] to {city} [on {day}|in {month}|every year|tomorrow].",
    "On {day} {name} [eats|cooks|makes] {food}.",
    "The {job} [works|sings|waits|sleeps] in the {place}.",
    "There [is|was] {a_color} {thing} [on the table|in the {place}|under the bed|near the door].",
    "{name} [gave|sold|showed|brought] the {thing} to {other}.",
    "The {animal} is [bigger|faster|smaller|slower|older] than the {animal2}.",
    "She [put|left|hid] the {color} {thing} in the {place}.",
    "It was a {weather} day in {month}.",
    "They [saw|found|fed|met] {an_animal} near the {place}.",
    "The {fruit} is [sweet|ripe|on the table|{color}].",
    "My {relative} [has|bought|likes] {number} {items}.",
    "My favorite [color is {color}|fruit is {fruit}|animal is the {animal}|food is {food}].",
    "Do you [like|want|have] [{food}|{items}|the {color} {thing}]?",
    "{name} [read a book|sang a song|took a walk|had lunch] in the {place} on {day}.",
)
NUMBER_WORDS = "two three four five six seven eight nine ten".split()
WEATHER = "sunny rainy cold warm windy cloudy hot snowy".split()
RELATIVES = "mother father sister brother friend uncle aunt teacher neighbor cousin".split()


def plain_sentence(draw: Draw) -> str:
    """A sentence with a capital and its final mark."""
    if draw.chance(0.15):
        return draw.slot(FAMILIAR)
    color, color2 = draw.slots(COLORS, 2)
    thing, thing2 = draw.rng.sample(THINGS, 2)
    animal, animal2 = draw.slots(ANIMALS, 2)
    items, items2 = draw.slots(ITEMS, 2)
    food, food2 = draw.slots(FOODS, 2)
    number, number2 = draw.rng.sample(NUMBER_WORDS, 2)
    name, other = draw.name(), draw.name()
    while other == name:
        other = draw.name()
    job = draw.slot(JOBS)
    return expand(draw.rng, draw.slot(PATTERNS)).format(
        a_color=with_article(color),
        a_job=with_article(job),
        an_animal=with_article(animal),
        animal=animal,
        animal2=animal2,
        city=draw.slot(CITIES),
        color=color,
        color2=color2,
        day=draw.pick(DAYS),
        food=food,
        food2=food2,
        fruit=draw.slot(FRUITS),
        items=items,
        items2=items2,
        job=job,
        month=draw.pick(MONTHS),
        name=name,
        number=number,
        number2=number2,
        other=other,
        place=draw.pick(PLACES),
        relative=draw.pick(RELATIVES),
        thing=thing,
        thing2=thing2,
        trait=draw.pick(TRAITS),
        weather=draw.pick(WEATHER),
    )


def typed_sentence(draw: Draw) -> str:
    """A sentence as people type it: some without capital and final mark."""
    text = plain_sentence(draw)
    if draw.chance(0.4):
        text = text.rstrip(".!")
    if draw.chance(0.3):
        text = text.lower()
    return text


def sentence_words(draw: Draw) -> list[str]:
    """Words of a sentence, without marks."""
    text = typed_sentence(draw)
    return "".join(letter for letter in text if letter not in ".,!?").split()
