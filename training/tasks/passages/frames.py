"""Ways to put a passage and a question together, and questions about a whole passage."""

FILLERS = (
    "The weather was nice that day.",
    "It was a long week.",
    "Everyone knows each other there.",
    "The street is quiet in the morning.",
    "They meet every Sunday.",
    "The town has a small market.",
    "Nobody was in a hurry.",
    "The sun was shining.",
    "That is all we know.",
    "It is a normal day.",
)
FRAMES = (
    "Text: {p}[\n|\n\n| ]Question: {q}",
    "Passage: {p}[\n|\n\n| ]Question: {q}",
    "Context: {p}[\n|\n\n| ]Question: {q}",
    "[Text|Passage|Context|Story|Facts|Given|Information|Note|Paragraph]: {p}[\n|\n\n| ]{q}",
    "[Passage|Text|Context]: {p}\n[Q|Question]: {q}\n[A|Answer]:",
    "Question: {q}[\n|\n\n| ][Text|Passage|Context]: {p}",
    "{q}[\n|\n\n| ][Text|Passage|Context|Here is the text]: {p}",
    '"{p}"[\n|\n\n| ]{q}',
    '{q}[\n|\n\n| ]"{p}"',
    "'{p}' {q}",
    "~Read [this|the text|this text|the passage|the following|the following text]: {p}[\n| ]{q}",
    "~Read [this|the text|the passage] and answer[| the question]: {p}[\n| ]{q}",
    "~Use [this|the text|the following text|the context] to answer[| the question]: {p}[\n| ]{q}",
    "~Answer [the question|a question|this question] [about|on|from] the text. {p}[\n| ]{q}",
    "~Answer [the question|this] using the text.\n[Text: |]{p}\n[Question: |]{q}",
    "Based on [this|the text|the following text|the passage]: {p}[\n| ]{q}",
    "[According to|From] [this|the text|the passage]: {p}[\n| ]{q}",
    "Here is a [short |][text|passage|story|note]: {p}[\n| ]{q}",
    "Here [is some information|are some facts]: {p}[\n| ]{q}",
    "[I read this|Someone wrote|I know this|A friend told me]: {p}[\n| ]{q}",
    "{p} [My question|Now the question|Question|Here is my question|Q]: {q}",
    "{p}\n---\n{q}",
    "Given [that|the text]: {p}[\n| ]{q}",
    "[Reading test|Reading comprehension|Reading exercise|Comprehension]: {p}[\n| ]{q}",
    "~[Consider|Look at|Take] [this|the text|this text]: {p}[\n| ]{q}",
    "~Find the answer in the text. {p}[\n| ]{q}",
    "~Find the answer [in|from] this[ text|]: {p}[\n| ]{q}",
    "{q} [Look it up here|Find it here|The text says|Answer from this|Use this]: {p}",
    "### Context\n{p}\n### Question\n{q}",
    "{p}[\n| ](Question: {q})",
)
BARE = ("{p} {q}", "{p} {q}", "{p}\n{q}", "{p}\n\n{q}", "{q} {p}")
QUESTION_FIRST = (
    *("{q} {p}", "{q}\n{p}", "{q}\n\n{p}", "{q} - {p}", "{q}\n---\n{p}", "{q} >> {p}"),
    "Read this and answer my question. {q} {p}",
    "Read this and tell me: {q} {p}",
    "I have a question on a text: {q}\n{p}",
    "After you read this, tell me: {q}\n{p}",
    "My question comes first: {q} Now the text: {p}",
    "{q} This is all I know: {p}",
)
EXTREMES = {
    "{S} is {v} years old.": (
        (
            "oldest",
            (
                "Who is the [oldest|oldest of them|oldest person]?",
                "Who is [the eldest|oldest]?",
                "[Which person|Which of them] is the oldest?",
                "~[Tell me|Name|Find] the oldest[ person|].",
                "The oldest[ one| person|] is who?",
                "Who has lived [longest|the longest]?",
            ),
        ),
        (
            "youngest",
            (
                "Who is the [youngest|youngest of them|youngest person]?",
                "Who is youngest?",
                "[Which person|Which of them] is the youngest?",
                "~[Tell me|Name|Find] the youngest[ person|].",
                "The youngest[ one| person|] is who?",
                "Who of them is youngest?",
            ),
        ),
    ),
    "{S} costs {v}.": (
        (
            "most expensive",
            (
                "[What|Which one|Which] is the most expensive?",
                "What costs [most|the most]?",
                "Which [thing|product|one] is most expensive?",
                "Which [thing|product|one] costs [most|the most]?",
                "~[Tell me|Name|Find] the most expensive [thing|product|one].",
                "The most expensive [thing|product|one] is [what|which]?",
            ),
        ),
        (
            "cheapest",
            (
                "[What|Which one|Which] is the cheapest?",
                "What costs [least|the least]?",
                "Which [thing|product|one] is cheapest?",
                "Which [thing|product|one] costs [least|the least]?",
                "~[Tell me|Name|Find] the cheapest [thing|product|one].",
                "The cheapest [thing|product|one] is [what|which]?",
            ),
        ),
    ),
}
COMPARATIVES = {
    "{S} is {v} years old.": ("older", "younger"),
    "{S} costs {v}.": ("more expensive", "cheaper"),
}
COMPARISONS = (
    "[Who|Which] is {more}, {x} or {y}?",
    "[Who|Which] is {more}: {x} or {y}?",
    "[Who|Which] is {more}?",
    "[Which of the two|Which one] is {more}?",
    "~[Tell me|Say|Find] which [of them|one|of the two] is {more}.",
    "Is {x} or {y} {more}?",
    "Of {x} and {y}, [who|which] is {more}?",
    "~Compare {x} and {y}: [who|which] is {more}?",
)
ABOUT = (
    "Who is [this|the text|the passage] about?",
    "[Which person|Who] is [mentioned|named][ in the text| here|]?",
    "What is the name of the person[ in the text|]?",
    "~[Tell me|Say] who [this|the text] is about.",
    "Whom is [this|the text|the passage] about?",
    "[The person|The name] in the text?",
    "About [whom|which person] is [this|the text]?",
    "~Name the person[ in the text|].",
)
