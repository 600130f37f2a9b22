"""Closed sets about English words: opposites, past tenses, plurals, comparatives."""

from training.tasks.facts.closed import closed, mentioned, pairs
from training.tasks.problem import Problem
from training.tasks.text.layouts import one_kind
from training.tasks.words import ANIMALS, FRUITS
from training.wordings import Draw

OPPOSITES = pairs(
    "big small, hot cold, up down, fast slow, happy sad, old new, light dark, open closed, early "
    "late, wet dry, hard soft, high low, long short, rich poor, strong weak, full empty, left "
    "right, clean dirty, loud quiet, good bad, near far, thick thin, day night, in out, on off, "
    "yes no, true false, young old, love hate, black white, first last, begin end, win lose, buy "
    "sell, push pull, give take, come go, laugh cry, deep shallow, wide narrow, heavy light, easy "
    "difficult, sweet sour, cheap expensive, alive dead, war peace, north south, east west, top "
    "bottom, inside outside, front back, above below, before after, always never, everything "
    "nothing, best worst, more less, many few, same different, smooth rough, brave cowardly, "
    "beautiful ugly, safe dangerous, public private, summer winter, male female, question answer, "
    "success failure, tall short, large small, start stop, warm cool, ancient modern, add "
    "subtract, increase decrease, remember forget, friend enemy, awake asleep"
)
for _word, _other in list(OPPOSITES.items()):
    OPPOSITES.setdefault(_other, _word)
UNRELATED = (
    "wet rich loud north awake male question summer sweet war smooth buy wide cheap public ancient "
    "banana table"
).split()
PAST_TENSES = pairs(
    "go went gone, eat ate eaten, run ran run, see saw seen, take took taken, make made made, "
    "come came come, give gave given, find found found, write wrote written, speak spoke spoken, "
    "drink drank drunk, sing sang sung, swim swam swum, buy bought bought, think thought thought, "
    "bring brought brought, sleep slept slept, keep kept kept, leave left left, lose lost lost, "
    "meet met met, say said said, sell sold sold, begin began begun, break broke broken, build "
    "built built, catch caught caught, choose chose chosen, do did done, draw drew drawn, drive "
    "drove driven, fall fell fallen, feel felt felt, fly flew flown, forget forgot forgotten, get "
    "got got, grow grew grown, have had had, hear heard heard, hide hid hidden, hold held held, "
    "know knew known, pay paid paid, put put put, read read read, ride rode ridden, rise rose "
    "risen, send sent sent, sit sat sat, stand stood stood, steal stole stolen, teach taught "
    "taught, tell told told, throw threw thrown, understand understood understood, wake woke "
    "woken, wear wore worn, win won won, cut cut cut, feed fed fed, fight fought fought, freeze "
    "froze frozen, shake shook shaken, shoot shot shot, spend spent spent, walk walked walked, "
    "play played played, work worked worked, love loved loved, jump jumped jumped, cook cooked "
    "cooked, talk talked talked, help helped helped, live lived lived, want wanted wanted, try "
    "tried tried, stop stopped stopped, study studied studied, be was been"
)
PLURALS = pairs(
    "child children, mouse mice, foot feet, tooth teeth, goose geese, man men, woman women, "
    "person people, ox oxen, sheep sheep, fish fish, deer deer, leaf leaves, knife knives, wife "
    "wives, life lives, wolf wolves, shelf shelves, half halves, thief thieves, loaf loaves, "
    "potato potatoes, tomato tomatoes, hero heroes, box boxes, fox foxes, bus buses, glass "
    "glasses, dress dresses, watch watches, church churches, brush brushes, dish dishes, baby "
    "babies, city cities, lady ladies, berry berries, puppy puppies, country countries, story "
    "stories, boy boys, toy toys, day days, key keys, cat cats, dog dogs, book books, house "
    "houses, car cars, tree trees, apple apples, photo photos, piano pianos, roof roofs, louse "
    "lice, policeman policemen, calf calves, scarf scarves, bench benches, peach peaches, "
    "butterfly butterflies, family families, cherry cherries, echo echoes, series series"
)
for _word in (*FRUITS, *ANIMALS):
    if _word[-1] not in "osxyh":
        PLURALS.setdefault(_word, f"{_word}s")
COMPARATIVES = pairs(
    "good better best, bad worse worst, big bigger biggest, small smaller smallest, happy happier "
    "happiest, easy easier easiest, hot hotter hottest, cold colder coldest, fast faster fastest, "
    "slow slower slowest, tall taller tallest, short shorter shortest, old older oldest, young "
    "younger youngest, large larger largest, nice nicer nicest, strong stronger strongest, weak "
    "weaker weakest, heavy heavier heaviest, busy busier busiest, early earlier earliest, pretty "
    "prettier prettiest, funny funnier funniest, thin thinner thinnest, sad sadder saddest, wet "
    "wetter wettest, rich richer richest, poor poorer poorest, long longer longest, high higher "
    "highest, low lower lowest, clean cleaner cleanest, warm warmer warmest, cheap cheaper "
    "cheapest, safe safer safest, little less least, many more most, much more most, few fewer "
    "fewest, dark darker darkest, bright brighter brightest, deep deeper deepest, wide wider "
    "widest, hard harder hardest, soft softer softest"
)
OPPOSITE = (
    "[What is|What's|whats] the opposite of {word}?",
    "[What is|What's] the [exact |]opposite of [the word |]{word}?",
    "[What is|What's] the [antonym|opposite word] [of|for] {word}?",
    "~[Give|Tell|Show] me the [opposite|antonym] of {word}.",
    "~[Name|Find|Say|State|Write] the [opposite|antonym] of {word}.",
    "[opposite|antonym] of {word}[?|]",
    "the opposite of {word}[?| is| is...| is what?]",
    "[Opposite|Antonym]: {word}",
    "[What is|What's] the [reverse|contrary] of {word}?",
    "[Which|What] word [is|means] the opposite of {word}?",
    "[Which|What] word has the opposite meaning [of|to|from] {word}?",
    "{word} [opposite|antonym][?|]",
    "{word} - [opposite|the opposite|opposite word|antonym][?|]",
    "not {word} but...",
    "[I need|Give me|I'm looking for] a word that means the opposite of {word}[.|]",
    "[I need|gimme|I want] [an antonym|the antonym|an opposite|the opposite] [of|for] {word}",
    "If [something|it] is not {word}, [what is it|it is...|then it is...]",
    "[Antonyms|Opposites]: {word} [-|->|=|:][ ?|]",
    "[Can you tell me|Do you know] the opposite of {word}?",
    "What do you call the opposite of {word}?",
    "The word is {word}. [What is its opposite?|Tell me its opposite.|Its antonym?]",
    "[Find|Write|Say] an antonym for the word {word}",
    "The antonym of {word} is",
)
OPPOSITE_PAIRS = (
    "Are {word} and {other} opposites?",
    "[Is|Is the word] {word} the opposite of {other}?",
    "[Is|Would] {other} [|be ]the opposite of {word}?",
    "Do {word} and {other} mean the opposite?",
    "{word} and {other}: [opposites|are they opposites][?|]",
    "[Yes or no|Say yes or no]: {word} is the opposite of {other}[.|]",
    "Are the words {word} and {other} [antonyms|opposites]?",
    "[Tell me|Say|Check] if {word} and {other} are opposites.",
    "[Can you tell|Do you know] whether {word} is the opposite of {other}?",
    "Does {word} mean the opposite of {other}?",
    "{word} and {other} - [opposites|opposites or not]?",
    "Would you say {word} is the opposite of {other}?",
    "I think {word} is the opposite of {other}. [Am I right?|Is that right?|Right?]",
    "{word} is the opposite of {other}[, right?|, isn't it?|?]",
)
PAST = (
    "[What is|What's|whats] the past [tense|form] of {word}?",
    "~[Give|Tell|Show] me the past tense of {word}.",
    "~[Put|Change|Turn|Convert] {word} [into|to|in] [the past tense|past tense|the simple past].",
    "past tense of {word}[?|]",
    "[past tense|past|simple past]: {word}",
    "{word} [in the past tense|in past tense|past tense|in the past|simple past][?|]",
    "[What is|What's] {word} in the [past|past tense|simple past]?",
    "[What is|What's] the [simple past|preterite] of {word}?",
    "~[Write|Say|State|Find] the past tense of {word}.",
    "[What is|What's] the past [tense|form] of the verb {word}?",
    "[How do you|How do I|How to] [say|write] {word} in the past[ tense|]?",
    "Today I {word}. Yesterday I [...|___|?]",
    "Today they {word}, yesterday they [...|___|?]",
    "[Conjugate|conjugate] {word} in the past[ tense|].",
    "[Which|What] [word|form] is the past of {word}?",
    "the past tense of {word} is[...| what?|]",
    "The verb is {word}. [What is its past tense?|Give its past tense.|Past tense?]",
    "[I need|gimme|I want] the past tense of {word}",
)
PARTICIPLE = (
    "[What is|What's|whats] the past participle of {word}?",
    "~[Give|Tell|Show] me the past participle of {word}.",
    "past participle of {word}[?|]",
    "[past participle|participle|third form]: {word}",
    "{word} [past participle|participle][?|]",
    "~[Write|Say|State|Find] the past participle of {word}.",
    "[What is|What's] the third form of[ the verb|] {word}?",
    "[Can you tell me|Do you know] the past participle of {word}?",
    "I {word} today. I have [...|___|?]",
    "The verb is {word}. [What is its past participle?|Past participle?]",
    "[Which|What] word is the past participle of {word}?",
    "the past participle of {word} is[...| what?|]",
    "What comes after have: the participle of {word}?",
    "[I need|gimme|I want] the past participle of {word}",
    "{word}: [past participle|third form][?|]",
    "How do you [form|write] the past participle of {word}?",
)
FORMS = (
    "[What are|Give me|List|Tell me|Show me] the three forms of [|the verb ]{word}.",
    "[The principal parts|Principal parts|Three forms|The three forms] of {word}[?|]",
    "{word}: [all three forms|three forms|verb forms|past and participle]",
    "~Conjugate the [irregular verb|verb] {word}.",
    "conjugate {word}",
    "~[Give|Tell|Show|Write] me the past tense and the past participle of {word}.",
    "[What are|what's] the past tense and past participle of {word}?",
    "[verb forms|forms|principal parts]: {word}",
    "{word}, ..., ...",
    "the forms of the verb {word}[?|]",
    "What are the [verb forms|forms|principal parts] of {word}?",
)
PLURAL = (
    "[What is|What's|whats] the plural [form |]of {word}?",
    "~[Give|Tell|Show] me the plural [form |]of {word}.",
    "plural of {word}[?|]",
    "[the |English |]plural of [the word |]{word}[?|]",
    "[plural|Plural form|pluralize|pluralise]: {word}",
    "~[Pluralize|Pluralise] {word}.",
    "~[Pluralize|Pluralise] the [word|noun] {word}.",
    "~[Put|Change|Turn|Convert|Make] {word} [into|to] [the plural|a plural|plural].",
    "{word} [plural|in the plural|in plural|plural form][?|]",
    "One {bare}, two [...|___|?|what?]",
    "[1|one] {bare}, [many|three|five|several] [...|___|?]",
    "[I have one|There is one] {bare}. [Now there are two|I get another one]: two [...|___|?]",
    "What do you call more than one {bare}?",
    "[What is|What's] the word for [many|several|more than one|two] {bare}?",
    "~[Write|Say|State|Find] the plural of {word}.",
    "[How do you|How do I|How to] [say|write|spell] the plural of {word}?",
    "the plural of {word} is[...| what?|]",
    "The [noun|word] is {word}. [What is its plural?|Plural?]",
    "[Can you tell me|Do you know] the plural of {word}?",
    "[I need|gimme|I want] the plural of {word}",
)
SINGULAR = (
    "[What is|What's|whats] the singular [form |]of {word}?",
    "~[Give|Tell|Show] me the singular [form |]of {word}.",
    "singular of {word}[?|]",
    "[singular|Singular form]: {word}",
    "{word} [singular|in the singular|in singular|singular form][?|]",
    "~[Put|Change|Turn|Convert|Make] {word} [into|to] [the singular|singular].",
    "Two {bare}, one [...|___|?|what?]",
    "[many|three|five|several] {bare}, one [...|___|?]",
    "~[Write|Say|State|Find] the singular of {word}.",
    "the singular of {word} is[...| what?|]",
    "The word is {word}. [What is its singular?|Singular?]",
    "[What is|What's] the word for just one of {word}?",
    "{word} is plural. [What is the singular?|Singular?]",
    "[Can you tell me|Do you know] the singular of {word}?",
    "[I need|gimme|I want] the singular of {word}",
    "~Singularize {word}.",
    "If there are many {bare}, what is one called?",
)
COMPARATIVE = (
    "[What is|What's|whats] the comparative [form |]of {word}?",
    "~[Give|Tell|Show] me the comparative [form |]of {word}.",
    "comparative [form |]of {word}[?|]",
    "[comparative|Comparative form]: {word}",
    "{word} [comparative|comparative form|in the comparative][?|]",
    "{word}, [more {bare}|comparative]: [?|...]",
    "~[Write|Say|State|Find] the comparative of {word}.",
    "the comparative of {word} is[...| what?|]",
    "The adjective is {word}. [What is its comparative?|Comparative?]",
    "[Which|What] word is the comparative of {word}?",
    "[Can you tell me|Do you know] the comparative of {word}?",
    "~[Put|Turn|Change] {word} into the comparative.",
    "{word}: [comparative|comparative form][?|]",
    "[I need|gimme|I want] the comparative of {word}",
    "How do you [form|write] the comparative of {word}?",
    "One is {bare}, the other one is even [...|___|?]",
    "This one is {bare}, but that one is [...|___|?]",
)
SUPERLATIVE = (
    "[What is|What's|whats] the superlative [form |]of {word}?",
    "~[Give|Tell|Show] me the superlative [form |]of {word}.",
    "superlative [form |]of {word}[?|]",
    "[superlative|Superlative form]: {word}",
    "{word} [superlative|superlative form|in the superlative][?|]",
    "{word}, {more}, [...|___|?]",
    "~[Write|Say|State|Find] the superlative of {word}.",
    "the superlative of {word} is[...| what?|]",
    "The adjective is {word}. [What is its superlative?|Superlative?]",
    "[Which|What] word is the superlative of {word}?",
    "[Can you tell me|Do you know] the superlative of {word}?",
    "~[Put|Turn|Change] {word} into the superlative.",
    "{word}: [superlative|superlative form][?|]",
    "[I need|gimme|I want] the superlative of {word}",
    "How do you [form|write] the superlative of {word}?",
    "{bare}, {more}, the [...|___|?]",
    "One is {bare}, one is {more}, and the third is the [...|___|?]",
)


def opposite(draw: Draw) -> Problem:
    """The opposite of a word, or whether two words are opposites."""
    word, other = draw.pick(list(OPPOSITES.items()))
    name = f"opposite:{word}"
    if draw.chance(0.12):
        if draw.chance(0.5):
            wrong = draw.pick([value for value in UNRELATED if value not in (word, other)])
            request = draw.say(
                OPPOSITE_PAIRS, word=mentioned(draw, word), other=mentioned(draw, wrong)
            )
            return closed("vocabulary", name, request, f"No, the opposite of {word} is {other}.")
        request = draw.say(OPPOSITE_PAIRS, word=mentioned(draw, word), other=mentioned(draw, other))
        return closed("vocabulary", name, request, f"Yes, the opposite of {word} is {other}.")
    request = draw.say(OPPOSITE, word=mentioned(draw, word))
    return closed("vocabulary", name, request, f"The opposite of {word} is {other}.", other)


def verb_form(draw: Draw) -> Problem:
    """The past tense of a verb, its past participle, or its three forms."""
    verb, forms = draw.pick(list(PAST_TENSES.items()))
    past, participle = forms.split()
    word, name = mentioned(draw, verb), f"verb:{verb}"
    kind = draw.rng.random()
    if kind < 0.7:
        templates = PAST if verb != "be" else tuple(text for text in PAST if "oday" not in text)
        request, answer = draw.say(templates, word=word), f"The past tense of {verb} is {past}."
        return closed("vocabulary", name, request, answer, past)
    if kind < 0.88:
        answer = f"The past participle of {verb} is {participle}."
        return closed("vocabulary", name, draw.say(PARTICIPLE, word=word), answer, participle)
    return closed("vocabulary", name, draw.say(FORMS, word=word), f"{verb}, {past}, {participle}")


def number_form(draw: Draw) -> Problem:
    """The plural of a noun, or the singular of a plural."""
    one, many = draw.pick(list(PLURALS.items()))
    if draw.chance(0.25):
        request = draw.say(SINGULAR, word=mentioned(draw, many), bare=many)
        return closed(
            "vocabulary", f"singular:{many}", request, f"The singular of {many} is {one}.", one
        )
    request = draw.say(PLURAL, word=mentioned(draw, one), bare=one)
    return closed("vocabulary", f"plural:{one}", request, f"The plural of {one} is {many}.", many)


def degree(draw: Draw) -> Problem:
    """The comparative or the superlative of an adjective."""
    word, forms = draw.pick(list(COMPARATIVES.items()))
    more, most = forms.split()
    slots = {"word": mentioned(draw, word), "bare": word, "more": more}
    if draw.chance(0.5):
        answer = f"The comparative of {word} is {more}."
        return closed(
            "vocabulary",
            f"degree:{word}",
            draw.say(COMPARATIVE, alone=False, **slots),
            answer,
            more,
        )
    answer = f"The superlative of {word} is {most}."
    return closed(
        "vocabulary", f"degree:{word}", draw.say(SUPERLATIVE, alone=False, **slots), answer, most
    )


KINDS = ((opposite, 4.0), (verb_form, 3.0), (number_form, 3.0), (degree, 1.5))


def vocabulary(draw: Draw) -> Problem:
    """An opposite, a form of a verb, a plural, or a comparative."""
    return one_kind(draw, KINDS)
