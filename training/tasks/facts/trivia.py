"""A closed set of general knowledge: values, names, years, and a few reasons."""

from training.tasks.facts.closed import closed, framed
from training.tasks.facts.trivia_tables import FRAMED
from training.tasks.problem import Problem
from training.wordings import Draw

REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (
            "Why is the sky blue?",
            "Why does the sky look blue?",
            "~Explain why the sky is blue.",
            "[Tell me|Do you know|Can you tell me] why the sky is blue?",
            "How come the sky is blue?",
            "What makes the sky blue?",
            "The sky is blue. [Why?|Why is that?]",
            "[What is|What's] the reason [that |why ]the sky is blue?",
            "Why is the [daytime |]sky [so |]blue[ and not green|]?",
            "the sky is blue because[...| ___|]",
        ),
        "Because air scatters blue light more than red light.",
    ),
    (
        (
            "Is the Earth [round|flat]?",
            "Is [our planet|the world] [round|flat]?",
            "Is the [Earth|world] [round or flat|flat or round]?",
            "[What|Which] shape [is|does] the Earth[ have|]?",
            "[What is|What's] the shape of the Earth?",
            "[Tell me|Say] if the Earth is [flat|round].",
            "The Earth is [flat|round][, right?|, isn't it?|?]",
            "[Do you think|Do you believe] [that |]the Earth is [flat|round]?",
            "[shape of the Earth|Earth's shape][?|]",
            "[Is it true|Yes or no]: the Earth is [flat|round]?",
        ),
        "The Earth is round.",
    ),
    (
        (
            "Why do leaves [fall|change color] in [autumn|fall]?",
            "Why do trees lose their leaves?",
            "[Tell me|Can you tell me] why leaves fall[ in autumn|].",
            "What makes leaves fall?",
            "How come trees drop their leaves[ in autumn|]?",
            "~Explain why trees lose their leaves.",
            "Why are trees bare in winter?",
            "[What is|What's] the reason that leaves fall[ in autumn|]?",
            "trees lose their leaves because[...| ___|]",
            "Leaves fall in autumn. Why?",
        ),
        "Because trees save water in winter.",
    ),
    (
        (
            "Why do we sleep?",
            "Why do [people|humans|animals] sleep?",
            "Why do we need [to |]sleep?",
            "~Explain why we sleep.",
            "[What is|What's] [sleep|sleeping] good for?",
            "[Tell me|Can you tell me] why people sleep.",
            "What is the purpose of sleep?",
            "Why is sleep important?",
            "people sleep because[...| ___|]",
            "How come we have to sleep?",
        ),
        "Because body and brain need rest.",
    ),
    (
        (
            "What do bees make?",
            "[What|Which food] do bees produce?",
            "What do we get from bees?",
            "bees make[...| ___| what?|]",
            "[Tell me|Do you know] what bees make?",
            "What is made by bees?",
            "~Name something that bees make.",
            "What sweet food comes from bees?",
            "Who makes honey?",
            "Where does honey come from?",
        ),
        "Bees make honey.",
    ),
    (
        (
            "Which [weighs more|is heavier], a kilo of [feathers|wool] or a kilo of [lead|steel]?",
            "What is heavier: a [kilo|kilogram] of [lead|iron] or a [kilo|kilogram] of feathers?",
            "a kilo of feathers or a kilo of steel, [what|which] is heavier?",
            "[Is|Would] a kilo of lead [be |]heavier than a kilo of feathers?",
            "Does a kilo of iron weigh more than a kilo of feathers?",
            "feathers or steel, one kilo each: [what|which] weighs more?",
            "[Compare|Compare the weights]: a kilo of feathers and a kilo of steel",
            "[Riddle|Trick question]: [what|which] is heavier, a kilo of feathers or of lead?",
            "Which one is heavier, 1 kg of steel or 1 kg of feathers?",
            "1 kg of feathers vs 1 kg of iron[: which is heavier?|?]",
        ),
        "They weigh the same.",
    ),
)
QUESTIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    *((framed(frames, core), answer) for frames, cores in FRAMED for core, answer in cores),
    *REASONS,
)


def trivia(draw: Draw) -> Problem:
    """A question of general knowledge."""
    templates, answer = draw.pick(QUESTIONS)
    return closed("trivia", f"trivia:{answer}", draw.say(templates), answer)
