"""Questions about a passage of generated facts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from faker.providers.person.en_US import Provider as People

from training.tasks.passages.facts import PERSON, Attribute, Scene, people
from training.tasks.passages.frames import (
    ABOUT,
    BARE,
    COMPARATIVES,
    COMPARISONS,
    EXTREMES,
    FILLERS,
    FRAMES,
    QUESTION_FIRST,
)
from training.tasks.passages.more import BUILDING, FRIEND, GIFT, ROOM, SLEEPER
from training.tasks.passages.places import (
    BOX,
    EVENT,
    MEAL,
    OBJECT,
    PET,
    PRODUCT,
    SHOP,
    TRAIN,
    WEATHER,
)
from training.tasks.passages.scenes import PEOPLE, SHOPPERS, TRAVELERS
from training.tasks.passages.small import COAT, CONTACT, COUNTED, PET_NAME, SECRET
from training.tasks.problem import Problem, ask
from training.tasks.words import with_article
from training.wordings import Draw, expand

UNKNOWN = "The text does not say."
SCENES = (
    (PEOPLE, 55),
    (TRAVELERS, 6),
    (SHOPPERS, 5),
    (EVENT, 11),
    (SHOP, 5),
    (PRODUCT, 6),
    (BOX, 6),
    (OBJECT, 4),
    (WEATHER, 5),
    (TRAIN, 3),
    (MEAL, 3),
    (PET, 3),
    (ROOM, 7),
    (GIFT, 4),
    (FRIEND, 4),
    (BUILDING, 4),
    (SLEEPER, 4),
    (CONTACT, 4),
    (SECRET, 3),
    (PET_NAME, 4),
    (COAT, 3),
    (COUNTED, 4),
)
DRILLED = Scene(people, PERSON)
CONFUSED = ({"sport", "instrument"}, {"thing", "things"})  # asked for with the same words
WOMEN = frozenset(People.first_names_female) - frozenset(People.first_names_male)
MEN = frozenset(People.first_names_male) - frozenset(People.first_names_female)
MOST_FACTS, LONG_SHARE = 5, 0.08


@dataclass(frozen=True, slots=True)
class Fact:
    """A property of a subject, with its value."""

    kind: str
    attribute: Attribute
    subject: str
    value: str

    def slots(self) -> dict[str, Any]:
        """Slot texts: subject, value, and the parts of the value."""
        bare = self.value.removeprefix("an ").removeprefix("a ")
        last, first = bare.rpartition(" ")[2], bare.partition(" ")[0]
        return {
            "S": capital(self.subject),
            "s": self.subject,
            "v": self.value,
            "b": bare,
            "h": last,
            "f": first,
        }

    def says(self) -> str:
        """The fact as a plain sentence."""
        return self.attribute.answer.format(**self.slots())

    def key(self) -> str:
        """The fact whatever its wording."""
        return f"{self.kind}:{self.subject}:{self.value}"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def draw_facts(draw: Draw, scene: Scene, count: int, kinds: Sequence[str]) -> list[Fact]:
    """Facts of `kinds` about `count` subjects, subject by subject; values of a kind differ."""
    subjects = scene.subjects(draw, count)
    values = {kind: scene.attributes[kind].values(draw, count) for kind in kinds}
    return [
        Fact(kind, scene.attributes[kind], subject, values[kind][i])
        for i, subject in enumerate(subjects)
        for kind in kinds
    ]


def sentence(draw: Draw, fact: Fact, *, pronoun: str = "") -> str:
    """One of the sentences that state a fact, with a pronoun for the subject if there is one."""
    text = expand(draw.rng, draw.slot(fact.attribute.statements))
    if pronoun and text.startswith("{S}"):
        own = {"He": "His", "She": "Her", "It": "Its"}[pronoun]
        rest = text.removeprefix("{S}")
        text = own + rest[2:] if rest.startswith("'s") else pronoun + rest
    return capital(text.format(**fact.slots()))


def pronoun_for(scene: Scene, subject: str) -> str:
    """`He`, `She` or `It`, or nothing where a pronoun would be a guess."""
    if scene in (PEOPLE, TRAVELERS, SHOPPERS):
        return "She" if subject in WOMEN else "He" if subject in MEN else ""
    return "It" if scene in (EVENT, SHOP, PRODUCT, BUILDING) else ""


def sentences(draw: Draw, scene: Scene, facts: list[Fact], *, joined: bool = True) -> list[str]:
    """Sentences that state the facts, with pronouns; one may state several if `joined`."""
    texts: list[str] = []
    subjects = list(dict.fromkeys(fact.subject for fact in facts))
    mixed = len(subjects) > 1 and draw.chance(0.25)
    for subject in subjects:
        own = [fact for fact in facts if fact.subject == subject]
        kinds = {fact.kind: fact for fact in own}
        fitting = [names for names in scene.joined if kinds.keys() >= set(names)]
        before = False
        if joined and fitting and draw.chance(0.55):
            names = draw.pick(fitting)
            form = expand(draw.rng, draw.slot(scene.joined[names]))
            parts = {name: kinds[name].value for name in names}
            parts |= {f"{name}_bare": kinds[name].slots()["b"] for name in names}
            parts["a_noun"] = with_article(subject.removeprefix("the "))
            texts.append(capital(form.format(S=capital(subject), s=subject, **parts)))
            own = [fact for fact in own if fact.kind not in names]
            before = True
        with_pronouns = not mixed and draw.chance(0.6)
        for fact in own:
            pronoun = pronoun_for(scene, subject) if with_pronouns and before else ""
            texts.append(sentence(draw, fact, pronoun=pronoun))
            before = True
    if mixed:
        draw.rng.shuffle(texts)
    return texts


def paired(draw: Draw, texts: list[str], names: Sequence[str]) -> list[str]:
    """The sentences with two of them joined by a conjunction."""
    at = draw.rng.randrange(len(texts) - 1)
    first, second = texts[at : at + 2]
    if not second.startswith(tuple(names)):
        second = second if second.startswith("I ") else second[0].lower() + second[1:]
    link = draw.pick((" and ", " and ", ", and ", ", but ", ", while ", "; "))
    return [*texts[:at], first.removesuffix(".") + link + second, *texts[at + 2 :]]


def same_attribute(draw: Draw) -> Problem:
    """Ask for one of two to six facts of the same kind, so that only the subject can tell."""
    scene = BOX if draw.chance(0.3) else DRILLED
    kind = draw.pick(list(scene.attributes))
    facts = draw_facts(draw, scene, draw.pick((2, 2, 2, 3, 3, 4, 5, 6)), [kind])
    form = expand(draw.rng, draw.slot(facts[0].attribute.statements))
    if draw.chance(0.6):
        texts = [capital(form.format(**fact.slots())) for fact in facts]
    else:
        texts = [sentence(draw, fact) for fact in facts]
    asked = draw.pick(facts)
    question = _asked(draw, asked.attribute.questions, **asked.slots())
    problem = _problem(draw, facts, texts, question, asked.says(), f"value:{asked.key()}")
    if draw.chance(0.4):
        request = draw.pick(QUESTION_FIRST).format(p=" ".join(texts), q=question)
        return replace(problem, turns=ask(request))
    return problem


def fact_lookup(draw: Draw) -> Problem:
    """Answer a question about a passage of one to five sentences, rarely of up to twenty."""
    scene = draw.rng.choices([s for s, _ in SCENES], [weight for _, weight in SCENES])[0]
    facts, spare = _scene_facts(draw, scene)
    texts = sentences(draw, scene, facts)
    names = [fact.subject for fact in facts if fact.subject[0].isupper()]
    if len(texts) > 1 and draw.chance(0.15) and not _has_pronouns(texts):
        texts = paired(draw, texts, names)
    if draw.chance(0.12):
        texts.insert(draw.rng.randint(0, len(texts)), draw.slot(FILLERS))
        if _has_pronouns(texts):
            texts = [text for text in texts if text not in FILLERS]
    question, answer, key = _question(draw, facts, spare)
    return _problem(draw, facts, texts, question, answer, key)


def _asked(draw: Draw, templates: Sequence[str], **slots: Any) -> str:
    """A question to put beside a passage, mostly without words around it."""
    return draw.say(templates, alone=draw.chance(0.75), **slots)


def _has_pronouns(texts: list[str]) -> bool:
    return any(text.startswith(("He ", "She ", "It ", "His ", "Her ", "Its ")) for text in texts)


def _scene_facts(draw: Draw, scene: Scene) -> tuple[list[Fact], list[Fact]]:
    """The facts of a passage, and others on the same subjects that it does not state."""
    names = draw.rng.sample(list(scene.attributes), min(8, len(scene.attributes)))
    for pair in CONFUSED:
        if pair <= set(names):
            names.remove(draw.pick(sorted(pair)))
    if scene is PEOPLE and draw.chance(LONG_SHARE):
        count, wanted = draw.rng.randint(4, 6), draw.rng.randint(8, 20)
    else:
        count, wanted = draw.pick((1, 2, 2, 2, 3, 3)), draw.rng.randint(2, MOST_FACTS)
    if count > 1 and draw.chance(0.45):  # all the facts of one kind
        facts = draw_facts(draw, scene, count + draw.pick((0, 0, 1)), names[:2])
        return [f for f in facts if f.kind == names[0]], [f for f in facts if f.kind != names[0]]
    if scene is PEOPLE and draw.chance(0.4):
        joined = draw.pick(list(scene.joined))
        names = [*joined, *(name for name in names if name not in joined)]
        for pair in CONFUSED:
            if pair <= set(names):
                names.remove(min(pair - set(joined)))
    facts = draw_facts(draw, scene, count, names)
    per_subject = len(names)
    order = [i * per_subject + j for j in range(per_subject) for i in range(count)]
    wanted = min(max(wanted, count), len(facts) - (1 if len(names) > 2 else 0))
    stated = {*order[:wanted]}
    return (
        [fact for i, fact in enumerate(facts) if i in stated],
        [fact for i, fact in enumerate(facts) if i not in stated],
    )


def _question(draw: Draw, facts: list[Fact], spare: list[Fact]) -> tuple[str, str, str]:
    """A question on the facts, its answer and its name."""
    asked = draw.pick(facts)
    slots, attribute = asked.slots(), asked.attribute
    mode = draw.rng.random()
    same = [fact for fact in facts if fact.kind == asked.kind]
    if mode < 0.1 and spare:
        unknown = draw.pick(spare)
        if unknown.kind not in {fact.kind for fact in facts if fact.subject == unknown.subject}:
            question = _asked(draw, unknown.attribute.questions, **unknown.slots())
            return question, UNKNOWN, f"unknown:{unknown.kind}:{unknown.subject}"
    if len({fact.subject for fact in facts}) == 1 and asked.kind in PERSON and mode > 0.93:
        return _asked(draw, ABOUT), f"The text is about {asked.subject}.", f"about:{asked.subject}"
    if mode < 0.2 and attribute.whose and sum(f.value == asked.value for f in facts) == 1:
        return _asked(draw, attribute.whose, **slots), asked.says(), f"who:{asked.key()}"
    if mode < 0.32 and attribute.doubts:
        holds = draw.chance(0.5)
        value = asked.value if holds else _other_value(draw, asked, same)
        doubted = Fact(asked.kind, attribute, asked.subject, value)
        question = _asked(draw, attribute.doubts, **doubted.slots())
        answer = f"{'Yes' if holds else 'No'}, {_inside(asked)}"
        return question, answer, f"doubt:{asked.key()}:{value}"
    if attribute.answer in EXTREMES and len(same) > 1 and draw.chance(0.35):
        return _extreme(draw, same)
    return _asked(draw, attribute.questions, **slots), asked.says(), f"value:{asked.key()}"


def _extreme(draw: Draw, facts: list[Fact]) -> tuple[str, str, str]:
    """A question for the oldest, the cheapest and so on."""
    ordered = sorted(facts, key=lambda fact: int(fact.value.split()[0]))
    highest = draw.chance(0.5)
    found = ordered[-1] if highest else ordered[0]
    if len(facts) == 2 and draw.chance(0.5):
        first, second = draw.rng.sample([fact.subject for fact in facts], 2)
        adjective = COMPARATIVES[facts[0].attribute.answer][0 if highest else 1]
        question = _asked(draw, COMPARISONS, more=adjective, x=first, y=second)
        return question, f"{capital(found.subject)} is {adjective}.", f"extreme:{adjective}"
    adjective, forms = EXTREMES[facts[0].attribute.answer][0 if highest else 1]
    return (
        _asked(draw, forms),
        f"{capital(found.subject)} is the {adjective}.",
        f"extreme:{adjective}",
    )


def _other_value(draw: Draw, asked: Fact, same: list[Fact]) -> str:
    """A value that the subject does not have, sometimes of another subject."""
    others = [fact.value for fact in same if fact.value != asked.value]
    slots = asked.slots()
    if asked.attribute.answer.endswith("{f}."):  # a colored thing
        colors = [v.split()[1] for v in asked.attribute.values(draw, 3) if slots["f"] not in v]
        return with_article(f"{colors[0]} {slots['h']}")
    if others and draw.chance(0.5):
        return draw.pick(others)
    return next(v for v in asked.attribute.values(draw, 2) if v != asked.value)


def _inside(fact: Fact) -> str:
    """The sentence of a fact, to follow a comma."""
    text = fact.says()
    keeps = fact.subject[0].isupper() and text.startswith(fact.subject)
    return text if keeps else text[0].lower() + text[1:]


def _problem(
    draw: Draw, facts: list[Fact], texts: list[str], question: str, answer: str, asked: str
) -> Problem:
    passage = " ".join(texts)
    key = f"passage:{' '.join(sorted(fact.key() for fact in facts))}:{asked}"
    if draw.chance(0.5):
        request = draw.pick(BARE).format(p=passage, q=question)
    else:
        request = draw.say(FRAMES, p=passage, q=question)
    return Problem("passage", (key,), ask(request), answer, said=tuple(draw.said))
