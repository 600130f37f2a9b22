"""Jokes, poems and curious facts on request, one for each subject."""

from training.tasks.facts.closed import closed, subjects
from training.tasks.facts.nature import MANY
from training.tasks.problem import Problem, ask
from training.tasks.text.layouts import one_kind
from training.tasks.words import ANIMALS, FOODS, JOBS
from training.wordings import Draw

JOKE = "Why did the mask smile? It knew it would be filled."
JOKES = subjects(
    """
    programmers, a programmer, coding, developers
    Why do programmers mix up Halloween and Christmas? Oct 31 is Dec 25.

    computers, a computer, technology
    Why was the computer cold? It left its windows open.

    math, numbers, maths
    Why was six afraid of seven? Because seven eight nine.

    cats, a cat, kittens
    What is the favorite color of a cat? Purr-ple.

    chickens, a chicken
    Why did the chicken cross the road? To get to the other side.

    cheese, food
    What do you call cheese that is not yours? Nacho cheese.

    science, atoms, chemistry
    Why can you not trust atoms? They make up everything.

    skeletons, Halloween, ghosts
    Why did the skeleton stay home? It had no body to go with.

    school, books, teachers
    Why was the math book sad? It had too many problems.

    the moon, space, stars
    How does the moon cut its hair? Eclipse it.

    fish, the sea
    What do you call a fish without an eye? Fsh.

    dogs, a dog
    What do you call a dog that does magic? A labracadabrador.
    """
)
ANOTHER = JOKES["chickens", "a chicken"]
ASK_JOKE = (
    "~Tell me a [joke|funny joke|good joke|short joke|quick joke].",
    "~Tell a joke.",
    "~Make me laugh.",
    "[A joke|joke|Joke please|One joke][.|!|?|]",
    "Do you know [a joke|any jokes|a good joke|jokes]?",
    "Can you [tell me a joke|tell a joke|tell jokes|make a joke|joke|be funny]?",
    "[Say|Write|Tell me] something funny.",
    "[Got|Have you got] [any|a good] [jokes|joke]?",
    "~Give me a joke.",
    "I [want|need|would like] [a joke|to hear a joke|a good laugh|to laugh][.|]",
    "~Tell me [the best joke you know|your best joke].",
    "[Let me hear|I would love to hear] a joke[.|]",
    "[What is|What's] [a good joke|your favorite joke|your best joke|the funniest joke]?",
    "~Crack a joke.",
    "Are you funny?",
    "~Write a [joke|short joke|funny joke].",
)
ASK_ANOTHER = (
    "[Another|One more] joke[.|!|]",
    "[Tell me another|Tell me another joke|another joke|another one][.|!|]",
    "~Tell me [another|another joke|one more joke|one more|a different joke|a second joke].",
    "[Another one|One more|Again|Encore|Another][!|.|, please]",
    "[Do you know|Have you got|Got] another [joke|one]?",
    "[Can you tell|Tell] another joke?",
    "~Give me another [joke|one].",
    "[I want|I need|I'd like] another joke[.|]",
    "I know that [joke|one]. [Another one?|Tell me another one.|Do you know another?]",
    "[Next|More] joke[s|][.|!|]",
    "[What is|What's] another [good |]joke?",
    "~Tell [another|one more] one.",
)
JOKE_ABOUT = (
    "~Tell me a [|funny |good |short ]joke about {topic}.",
    "~Write a [|funny |short ]joke about {topic}.",
    "[A|Give me a|Make a] joke about {topic}[.|]",
    "Do you know [a joke|any jokes|jokes] about {topic}?",
    "Can you [tell me|make|write] a joke about {topic}?",
    "joke [about|on|with] {topic}",
    "I [want|need|would like] a joke about {topic}[.|]",
    "[Got|Have you got] any jokes about {topic}?",
    "~Make a joke about {topic}.",
    "~Tell [a|another] joke about {topic}.",
    "[Something funny|Say something funny] about {topic}[.|]",
    "[What is|What's] a good joke about {topic}?",
    "~Make me laugh with a joke about {topic}.",
)
# Names of a subject, and lines of a poem and a haiku about it.
POEMS = subjects(
    """
    the sea, the ocean, waves
    The sea is wide, the sea is blue,
    It sings a song for me and you.

    rain, the rain, a rainy day
    The rain falls soft on roof and tree,
    It taps a little song for me.

    cats, a cat, my cat
    The cat sleeps long, the cat sleeps deep,
    And hunts for mice while fast asleep.

    dogs, a dog, my dog
    The dog runs fast, the dog runs far,
    And finds its way to where you are.

    spring, the spring
    The snow is gone, the birds all sing,
    The world is green again in spring.

    summer, the summer
    The days are long, the sun is high,
    And white clouds cross the summer sky.

    autumn, fall, leaves
    The leaves turn red, the leaves turn brown,
    And one by one they all come down.

    winter, snow, the snow
    The snow falls white, the night is still,
    It covers field and house and hill.

    the moon, the night, moonlight
    The moon looks down, so round and bright,
    And gives the world a little light.

    the stars, stars, space
    The stars are small, the sky is deep,
    They shine for us while people sleep.

    love, my love
    A word, a smile, a helping hand,
    Love is not hard to understand.

    trees, a tree, the forest, nature
    The tree stands tall, its roots go deep,
    It holds the birds while they all sleep.

    the sun, the morning, sunrise
    The sun comes up, the night is gone,
    The birds wake up and sing at dawn.

    flowers, a flower, roses
    A flower opens, small and bright,
    It drinks the rain, it eats the light.

    coffee, tea
    A cup of warmth, a cup of cheer,
    The day can start, for you are here.

    computers, a computer, AI, robots
    A mask, a guess, a word made clear,
    And step by step the lines appear.
    """
)
POEM = POEMS["computers", "a computer", "AI", "robots"]
HAIKUS = subjects(
    """
    the sea, the ocean, waves
    The wide sea at night
    waves come in and go again
    the moon stays the same

    rain, the rain
    Rain falls on the roof
    a small song for quiet rooms
    the garden drinks it

    spring, flowers, nature
    The cold snow is gone
    a green leaf looks for the sun
    the first bird is home

    autumn, fall, leaves
    Red leaves on the path
    the wind takes them one by one
    the old tree can rest

    winter, snow
    White fields without sound
    a small bird waits in the hedge
    the night comes early

    cats, a cat
    The cat in the sun
    opens one eye and sleeps on
    the mouse walks away

    computers, AI, programming, code
    A block of dark masks
    one guess after another
    the words come to light
    """
)
HAIKU = HAIKUS["computers", "AI", "programming", "code"]
OPEN_POEM = "I think of {0} by night and day,\nI think of {0} along the way."
ASK_POEM = (
    "~Write [me |]a [|short |little |nice ]poem.",
    "[A poem|poem|Poem please|A short poem][.|!|?|]",
    "Can you [write|make|tell me] a [|short ]poem?",
    "~Tell me a [|short ]poem.",
    "~Give me a [|short ]poem.",
    "Do you know [a poem|any poems|poetry]?",
    "~Make a [poem|rhyme|verse].",
    "I [want|need|would like] a [|short ]poem[.|]",
    "~Write [some poetry|a verse|a rhyme|two lines that rhyme|something poetic].",
    "~Compose a [poem|verse|short poem].",
    "[Another|One more] poem[.|]",
)
POEM_ABOUT = (
    "~Write [me |]a [|short |little |nice |two-line ]poem about {topic}.",
    "~Write [a poem|a short poem|me a poem|something poetic] about {topic}[.|]",
    "[A poem|poem|Poem please|A short poem] [about|on] {topic}[.|]",
    "Can you [write|make|tell me] a [|short ]poem about {topic}?",
    "~Tell me a [|short ]poem about {topic}.",
    "~Give me a [|short ]poem [about|on] {topic}.",
    "Do you know [a poem|any poems] about {topic}?",
    "~Make a [poem|rhyme|verse] about {topic}.",
    "I [want|need|would like] a [|short ]poem about {topic}[.|]",
    "~Write [some poetry|a verse|a rhyme|two lines] about {topic}.",
    "~Compose a [poem|verse|short poem] [about|on] {topic}.",
    "{topic}: [write a poem|a poem|a short poem]",
    "[The topic|Topic|Theme]: {topic}. Write a [|short ]poem.",
    "~Rhyme about {topic}.",
)
ASK_HAIKU = (
    "~Write [me |]a [|nice |short ]haiku.",
    "~Write a haiku[ for me| now|].",
    "[A haiku|haiku|Haiku please|One haiku][.|!|?|]",
    "Can you [write|make|tell me|compose] a haiku?",
    "~Tell me a haiku.",
    "~Give me a haiku.",
    "Do you know [a haiku|any haiku|haikus]?",
    "~Make a haiku.",
    "I [want|need|would like] a haiku[.|]",
    "~Compose a [haiku|nice haiku].",
    "[Another|One more] haiku[.|]",
    "haiku[!|?|.|, please]",
)
HAIKU_ABOUT = (
    "~Write [me |]a [|nice |short ]haiku about {topic}.",
    "[A haiku|haiku|Haiku please] [about|on] {topic}[.|]",
    "Can you [write|make|tell me|compose] a haiku about {topic}?",
    "~Tell me a haiku about {topic}.",
    "~Give me a haiku [about|on] {topic}.",
    "~Make a haiku about {topic}.",
    "I [want|need|would like] a haiku about {topic}[.|]",
    "~Compose a haiku [about|on] {topic}.",
    "{topic}: [write a haiku|a haiku|haiku]",
    "[The topic|Topic|Theme]: {topic}. Write a haiku.",
)
FACT = "Honey does not spoil, even after hundreds of years."
FACTS = subjects(
    """
    honey, bees, food
    Honey does not spoil, even after hundreds of years.

    octopuses, the octopus, the sea
    An octopus has three hearts.

    bananas, fruit, berries
    A banana is a berry, but a strawberry is not.

    Venus, planets, space
    A day on Venus is longer than its year.

    butterflies, insects
    Butterflies taste with their feet.

    whales, the blue whale, animals
    The blue whale is the largest animal that ever lived.

    the sun, light, stars
    Light from the sun takes about eight minutes to reach us.

    cats, a cat
    Cats sleep for most of the day.

    elephants, the elephant
    Elephants cannot jump.

    water, ice, chemistry
    Ice floats because it is lighter than water.

    the moon, gravity
    On the moon you would weigh only a sixth.

    penguins, birds
    Penguins are birds that cannot fly.
    """
)
ASK_FACT = (
    "~Tell me something [interesting|cool|new|that I don't know|fun|amazing|surprising].",
    "~Tell me [a fact|a fun fact|an interesting fact|a random fact|some facts|something].",
    "[A fun fact|Fun fact|A fact|Random fact|Interesting fact|Give me a fact][.|!|?|]",
    "Do you know [something interesting|any fun facts|a fun fact|interesting facts]?",
    "~Give me a [|fun |random |cool ]fact.",
    "~Teach me something[ new| interesting|].",
    "~Say something [interesting|clever|smart|wise|cool].",
    "[What is|What's] [a fun fact|an interesting fact|something interesting]?",
    "[Anything|Something] interesting[?|]",
    "I want to [learn something|hear a fun fact|know something new][.|]",
    "[Another|One more] fact[.|]",
    "Can you tell me something interesting?",
)
FACT_ABOUT = (
    "~Tell me something interesting about {topic}.",
    "~Tell me [a fact|a fun fact|an interesting fact|a random fact] about {topic}.",
    "[A fun fact|Fun fact|A fact|Interesting fact] about {topic}[.|?|]",
    "Do you know [something interesting|any fun facts|a fun fact] about {topic}?",
    "~Give me a [|fun |random |cool ]fact about {topic}.",
    "~Teach me something[ new|] about {topic}.",
    "~Say something interesting about {topic}.",
    "[What is|What's] [a fun fact|an interesting fact] about {topic}?",
    "[Anything|Something] interesting about {topic}[?|]",
    "Can you tell me something interesting about {topic}?",
    "What is interesting about {topic}?",
)


def _subject(draw: Draw, options: dict[tuple[str, ...], str]) -> tuple[str, str]:
    names, text = draw.pick(list(options.items()))
    return draw.pick(names), text


def joke(draw: Draw) -> Problem:
    """A joke, the same one for each subject."""
    if draw.chance(0.45):
        return closed("verse", "joke", draw.say(ASK_JOKE), JOKE)
    if draw.chance(0.2):
        return closed("verse", "another joke", draw.say(ASK_ANOTHER), ANOTHER)
    topic, answer = _subject(draw, JOKES)
    if draw.chance(0.2):
        topic, answer = _other_topic(draw), JOKE
    return closed("verse", f"joke:{answer}", draw.say(JOKE_ABOUT, topic=topic), answer)


def poem(draw: Draw) -> Problem:
    """A poem or a haiku; for an unknown subject, two lines with its name."""
    kind = draw.rng.random()
    if kind < 0.15:
        return closed("verse", "poem", draw.say(ASK_POEM), POEM)
    if kind < 0.25:
        return closed("verse", "haiku", draw.say(ASK_HAIKU), HAIKU)
    if kind < 0.45:
        topic, answer = _subject(draw, HAIKUS)
        return closed("verse", f"haiku:{answer}", draw.say(HAIKU_ABOUT, topic=topic), answer)
    if kind < 0.75:
        topic, answer = _subject(draw, POEMS)
        return closed("verse", f"poem:{answer}", draw.say(POEM_ABOUT, topic=topic), answer)
    topic = _other_topic(draw)
    request = draw.say(POEM_ABOUT, topic=topic)
    return Problem("verse", (f"poem:{topic}",), ask(request), OPEN_POEM.format(topic))


def curious_fact(draw: Draw) -> Problem:
    """A curious fact, the same one for each subject."""
    if draw.chance(0.5):
        return closed("verse", "curious", draw.say(ASK_FACT), FACT)
    topic, answer = _subject(draw, FACTS)
    return closed("verse", f"curious:{answer}", draw.say(FACT_ABOUT, topic=topic), answer)


def _other_topic(draw: Draw) -> str:
    """A subject that none of the lists has."""
    known = {name for names in (*JOKES, *POEMS) for name in names}
    while True:
        animal = draw.slot(ANIMALS)
        topic = draw.pick(
            (
                MANY.get(animal, f"{animal}s"),
                f"my {draw.slot(JOBS)}",
                f"{draw.name()}",
                draw.slot(FOODS),
                f"the {draw.word()}",
                f"a {draw.slot(JOBS)}",
            )
        )
        if topic not in known and topic.removeprefix("a ")[0] not in "aeiou":
            return (
                topic.replace("mouses", "mice").replace("wolfs", "wolves").replace("foxs", "foxes")
            )


KINDS = ((joke, 4.0), (poem, 4.0), (curious_fact, 2.0))


def verse(draw: Draw) -> Problem:
    """A joke, a poem or a curious fact."""
    return one_kind(draw, KINDS)
