"""Labels for a text: positive or negative, its topic, a word's category, question or statement."""

import re

from training.tasks.passages.lookup import SCENES, capital, draw_facts, sentence
from training.tasks.passages.topics import TOPIC_NAMES, WORD_CATEGORIES, topical
from training.tasks.problem import Problem, ask
from training.tasks.words import with_article
from training.wordings import Draw, expand

GOOD = (
    "great good wonderful excellent amazing lovely perfect fantastic brilliant nice superb "
    "delicious beautiful awesome friendly helpful clean comfortable funny charming terrific "
    "outstanding pleasant fresh tasty enjoyable impressive marvelous delightful fabulous "
    "magnificent incredible fun cool useful reliable cozy adorable"
).split()
BAD = (
    "bad terrible awful horrible poor boring disgusting dirty rude ugly slow broken cold noisy "
    "disappointing useless dreadful expensive lousy annoying unfriendly dull weak nasty stale "
    "unpleasant sad stupid worthless painful ridiculous mediocre smelly bland overpriced "
    "frustrating confusing pathetic"
).split()
REVIEWED = (
    "movie film book food hotel room service restaurant phone game song show pizza coffee shop "
    "staff concert trip product car meal waiter camera soup beach museum app lesson teacher place "
    "story laptop play weather dinner bed view breakfast party cake chair"
).split()
GLAD = "happy glad delighted pleased cheerful proud satisfied excited thankful relieved".split()
SAD = "sad angry upset unhappy disappointed furious annoyed frustrated worried tired".split()
GOOD_VERBS = "love like enjoy adore recommend loved liked enjoyed adored admire".split()
BAD_VERBS = "hate dislike hated disliked regret despise loathe detest regretted loathed".split()
GOOD_PHRASES = (
    "I will come back.",
    "Highly recommended!",
    "Five stars.",
    "I am so happy with it.",
    "Best day ever!",
    "It made my day.",
    "I would buy it again.",
    "Worth every cent.",
    "I could not be happier.",
    "It works like a charm.",
    "We had a great time.",
    "Thumbs up!",
    "It was better than I expected.",
    "I am very satisfied.",
    "Everyone was so kind.",
    "Well done!",
    "I can't wait to go again.",
    "I feel great today.",
    "What a success!",
    "It is my new favorite.",
)
BAD_PHRASES = (
    "I will never come back.",
    "Not recommended.",
    "One star.",
    "I want my money back.",
    "Worst day ever!",
    "It ruined my day.",
    "I would not buy it again.",
    "A waste of money.",
    "I could not be more disappointed.",
    "It stopped working after a day.",
    "We left early.",
    "Thumbs down!",
    "It was worse than I expected.",
    "I am very unhappy with it.",
    "Nobody helped us.",
    "Never again!",
    "I fell asleep.",
    "I feel terrible today.",
    "What a failure!",
    "It broke at once.",
)
REVIEWS = (
    "The {x} was {a}.",
    "The {x} was [very|really|so|just|simply|absolutely] {a}.",
    "The {x} is {a}[!|.]",
    "I {v} this {x}[!|.]",
    "I [really|absolutely|just] {v} the {x}.",
    "[What a|Such a] {a} {x}!",
    "{p}",
    "{p}",
    "The {x} was {a} and {b}.",
    "The {x} was {a}, and the {y} was {b}[ too|].",
    "{a} {x}. {p}",
    "The {x} was {a}. {p}",
    "I {v} the {x}. {p}",
    "I found the {x} {a}.",
    "This is [a really|a very|quite a] {a} {x}.",
    "[My friends and I|We|We all] {v} it. The {x} was {a}.",
    "{a}, {a2} {x}!",
    "It was a {a} {x} [with|and] a {b} {y}.",
    "The {x} was not {n}.",
    "The {x} was not {n} at all. {p}",
    "[Honestly|In short|To be honest], the {x} was {a}.",
    "{a}[!|.]",
    "[I {v} it|{v} it|I {v} this]! The {x} [is|was] {a}.",
    "I {v} this {x}, it is {a}.",
    "This {x} is {a}, I {v} it!",
    "[This is|This was|It was] the {e} {x} [ever|I ever had|of my life][!|.]",
    "[The|This is the] {e} {x} in town.",
    "I am [so|very|really|] {f}[ today| about the {x}| with the {x}|][!|.]",
    "I feel {f}[ today| now|].",
    "The {x} [makes|made] me {f}.",
)
NEUTRAL = (
    "The {x} opens at nine.",
    "The {x} is on the table.",
    "I saw the {x} on Monday.",
    "The {x} arrived in a box.",
    "The {x} is next to the {y}.",
    "There is a {x} in the street.",
    "The {x} has a number.",
    "We talked about the {x}.",
    "The {x} was built last year.",
    "She has a {x} and a {y}.",
)
SENTIMENT = (
    "[Is this|Is this review|Is this text|Is this sentence] positive or negative? {p}",
    "[Is this|Is this review|Is the following] positive or negative: {p}",
    "{p}\n[Positive or negative?|Is this positive or negative?|Is that positive or negative?]",
    "{p} [Positive or negative?|Is that positive or negative?|Sentiment?|Good or bad review?]",
    "[Positive or negative|positive/negative|Sentiment|Sentiment analysis|Pos or neg][:|?] {p}",
    "~Classify the sentiment[ of this| of this review| of this text|][:|.] {p}",
    "~Classify [this|this review|the review|this text] as positive or negative[:|.] {p}",
    "What is the sentiment of [this|this review|this sentence|this text]? {p}",
    'What is the sentiment of "{p}"?',
    'Is "{p}" positive or negative?',
    "[Review|Text|Comment|Tweet|Customer]: {p}\nSentiment:",
    "[Review|Comment|Text|Feedback]: {p}\n[Positive or negative?|Is it positive or negative?]",
    "~Tell me [if|whether] [this|this review|this comment] is positive or negative: {p}",
    "~[Label|Rate|Judge|Mark|Tag] [this|this review|this text] as positive or negative: {p}",
    "~[Determine|Find|Give|Give me|Detect|Analyze] the sentiment[ of this|]: {p}",
    '~[Classify|Label] "{p}" as positive or negative.',
    "Does [this|this review|this person] sound positive or negative? {p}",
    "[How does this sound|How would you rate this], positive or negative? {p}",
    "Did [they|the writer|the customer] like it? [Answer positive|Positive] or negative: {p}",
    "{p}\n[Classify the sentiment.|What is the sentiment?|Label it as positive or negative.]",
    "[Someone wrote|A customer wrote|My friend said]: {p} Is [that|it] positive or negative?",
    "Is the [tone|mood|opinion|sentiment] [here|of this] positive or negative? {p}",
)
SENTIMENT_OF_THREE = (
    "[Is this|Is this review|Is this text] positive, negative or neutral? {p}",
    "{p}\n[Positive, negative or neutral?|Is this positive, negative or neutral?]",
    "[Positive, negative or neutral|positive/negative/neutral][:|?] {p}",
    "~Classify [this|the sentiment|this text] as positive, negative[,|] or neutral[:|.] {p}",
    '~[Classify|Label] "{p}" as positive, negative[,|] or neutral.',
    "~Tell me [if|whether] this is positive, negative or neutral: {p}",
    "What is the sentiment (positive, negative, neutral)? {p}",
    "[Review|Text]: {p}\nSentiment (positive, negative or neutral):",
    "Does this sound positive, negative or neutral? {p}",
    'Is "{p}" positive, negative or neutral?',
)
TOPIC = (
    "~Classify [this|this sentence|the sentence|the text|this text] as {o}: {p}",
    "~Classify [this|this sentence|the text][.|:] {p}\n[Topics|Options|Labels|Categories]: {l}",
    "Is this [sentence |text |]about {o}? {p}",
    'Is "{p}" about {o}?',
    "[What is this about|What is the topic|Which topic is this], {o}? {p}",
    "{p}\n[Is this about|Topic,|Topic:|Is that about] {o}?",
    "[Topics|Options|Labels|Classes]: {l}\n[Text|Sentence]: {p}\n[Topic|Label|Class|Answer]:",
    "[Topics|Options|Labels|Categories]: {l}. [Which fits|Choose one for|Pick one for]: {p}",
    "Which of these topics fits[ this sentence| this|], {o}? {p}",
    "Which of these does the [text|sentence] [talk about|fit]: {l}? {p}",
    "~[Pick|Choose|Select] [the right|the best|a] [topic|label|category] ({l}) for: {p}",
    "~[Label|Tag|Mark] [this|this sentence|the text] as {o}: {p}",
    "~Assign [a topic|one label|a label|a category] ({l}) to [this|this sentence|this text]: {p}",
    "~[Sort|Put] this [sentence|text] into [one of these|one]: {l}. {p}",
    "~Tell me [if|whether] this is about {o}: {p}",
    'The sentence is "{p}" The topics are {l}. Which [one|topic] [is it|fits]?',
    "Given the [topics|labels|classes|categories] {l}, classify: {p}",
    "~[Categorize|Categorise] [this|the text|this sentence] ({l}): {p}",
    "{o}? {p}",
    "[What is|What's] the [category|topic] of this: {o}? {p}",
)
CATEGORY = (
    "Is {w} {k}?",
    "Is {aw} {k}?",
    'Is "{w}" {k}?',
    "~Classify {w} as {k}.",
    "~Classify the word {w}[:|.] {l}",
    "{w}: {k}?",
    "{w}[ -|,|:] {l}?",
    "Which [category|class|group] [does {w} belong to|is {w} in]: {l}?",
    "[Categories|Classes|Groups|Options]: {l}. [Word|Item]: {w}",
    "[Categories|Classes|Groups]: {l}\nWhich [one |]fits {w}?",
    "~[Put|Sort] {w} into [one|a category]: {l}.",
    "What is {aw}, {k}?",
    "~Tell me [if|whether] {w} is {k}.",
    "~[Label|Tag|Categorize|Categorise] the word {w} ({l}).",
    "What [kind|sort] of thing is {w}: {l}?",
    "Would you say {w} is {k}?",
)
KIND_OF_SENTENCE = (
    "[Is this|Is the following|Is this sentence|Is that] a question or a statement? {p}",
    'Is "{p}" a question or a statement?',
    "{p}\n[Question or statement?|Is this a question or a statement?]",
    "[Question or statement|question/statement|Statement or question][:|?] {p}",
    "~Classify [this|this sentence|the text] as [a question or a|question or] statement: {p}",
    '~[Classify|Label] "{p}" as question or statement.',
    "~Tell me [if|whether] [this|this sentence] is a question or a statement: {p}",
    "~[Label|Mark|Tag] [this|this sentence] as question or statement: {p}",
    "[Sentence|Text]: {p}\n[Question or statement|Type (question or statement)]?",
    "What [kind|type] of sentence is this, [a question or a statement|question or statement]? {p}",
    "[Does this ask or state|Does it ask or tell]? [Answer|Say] question or statement: {p}",
    "{p} [Is that|Was that|Is this] a question or a statement?",
    "Is the [writer asking or telling|sentence asking]? Question or statement: {p}",
    "~Decide [between|] question or statement: {p}",
)


COUNTED = frozenset("animal fruit tool vehicle tree flower job".split())
NO_ARTICLE = frozenset(("furniture",))
ASKING = frozenset("What Where When Which Who Whose How Does Is In On At To From Until".split())


def review(draw: Draw, mood: str) -> str:
    """A short opinion of one mood."""
    if mood == "neutral":
        first, second = draw.slots(REVIEWED, 2)
        return expand(draw.rng, draw.slot(NEUTRAL)).format(x=first, y=second)
    likes = mood == "positive"
    words, others, phrases, verbs = (
        (GOOD, BAD, GOOD_PHRASES, GOOD_VERBS) if likes else (BAD, GOOD, BAD_PHRASES, BAD_VERBS)
    )
    form = draw.slot(REVIEWS)
    if likes and "{n}" in form:  # `not bad` is neither
        form = "The {x} was {a}."
    text = expand(draw.rng, form)
    first, second, third = draw.slots(words, 3)
    what, other = draw.slots(REVIEWED, 2)
    text = text.format(
        x=what,
        y=other,
        a=first,
        b=second,
        a2=third,
        n=draw.slot(others),
        p=draw.slot(phrases),
        v=draw.slot(verbs),
        e=draw.pick(("best", "finest") if likes else ("worst", "poorest")),
        f=draw.slot(GLAD if likes else SAD),
    )
    text = re.sub(r"\b([aA]) (?=[aeiou])(?!use)", r"\1n ", text)
    return capital(text)


def sentiment(draw: Draw) -> Problem:
    """Say whether a short review is positive or negative; `neutral` if that is offered."""
    three = draw.chance(0.25)
    mood = draw.pick(("positive", "negative", "neutral") if three else ("positive", "negative"))
    text = review(draw, mood)
    request = draw.say(SENTIMENT_OF_THREE if three else SENTIMENT, p=text)
    key = f"sentiment:{text}"
    return Problem("sentiment", (key,), ask(request), mood, said=tuple(draw.said))


def _options(draw: Draw, options: list[str]) -> tuple[str, str]:
    """The options as a choice in a sentence, and as a list."""
    last = draw.pick((" or ", " or ", ", or "))
    return f"{', '.join(options[:-1])}{last}{options[-1]}", draw.pick((", ", ", ", " / ")).join(
        options
    )


def topic(draw: Draw) -> Problem:
    """Name the topic of a sentence, of two to five that the request gives."""
    count = draw.pick((2, 2, 3, 3, 4, 5))
    subjects = draw.rng.sample(list(TOPIC_NAMES), count)
    labels = [draw.pick(TOPIC_NAMES[subject]) for subject in subjects]
    at = draw.rng.randrange(count)
    text = topical(draw, subjects[at])
    choice, listed = _options(draw, labels)
    request = draw.say(TOPIC, p=text, o=choice, l=listed)
    key = f"topic:{text}:{' '.join(sorted(labels))}"
    return Problem("classify", (key,), ask(request), labels[at], said=tuple(draw.said))


def word_category(draw: Draw) -> Problem:
    """Name the category of a word, of two to four that the request gives."""
    category = draw.pick(list(WORD_CATEGORIES))
    word = draw.slot(WORD_CATEGORIES[category])
    others = [k for k, words in WORD_CATEGORIES.items() if word not in words]
    labels = [category, *draw.rng.sample(others, draw.pick((1, 1, 2, 3)))]
    draw.rng.shuffle(labels)
    choice = " or ".join(label if label in NO_ARTICLE else with_article(label) for label in labels)
    listed = _options(draw, labels)[draw.pick((0, 1))]
    with_one = with_article(word) if category in COUNTED else word
    request = draw.say(CATEGORY, w=word, aw=with_one, k=choice, l=listed)
    key = f"category:{word}:{' '.join(sorted(labels))}"
    return Problem("classify", (key,), ask(request), category, said=tuple(draw.said))


def sentence_kind(draw: Draw) -> Problem:
    """Tell a question from a statement."""
    scene = draw.rng.choices([s for s, _ in SCENES], [weight for _, weight in SCENES])[0]
    kind = draw.pick(list(scene.attributes))
    fact = draw_facts(draw, scene, 1, [kind])[0]
    asks = draw.chance(0.5)
    if asks:
        forms = [form for form in fact.attribute.questions if not form.startswith(("~", "{", "[P"))]
        forms = [form for form in forms if form.split()[0].strip("[").split("|")[0] in ASKING]
        text = capital(expand(draw.rng, draw.pick(forms)).format(**fact.slots()))
    else:
        text = sentence(draw, fact)
    if draw.chance(0.25):
        text = text.rstrip("?.")
    request = draw.say(KIND_OF_SENTENCE, p=text)
    answer = "question" if asks else "statement"
    return Problem("classify", (f"sentence:{text}",), ask(request), answer, said=tuple(draw.said))
