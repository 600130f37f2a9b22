"""Sentences of everyday notes with their questions, by topic: hours, prices, places, plans.

`{x}` and `{y}` are people, `{z}` is the name in an opening, and `notices.SLOTS` has what the other
slots are.
"""

Notice = tuple[str, *tuple[tuple[str, str], ...]]
"""A text and its questions, each with the words that answer it."""

HOURS: tuple[Notice, ...] = (
    (
        "The {shop} [opens at {hour} and closes at {hour2}|is open from {hour} to {hour2}].",
        ("[when|at what time] does the {shop} open?", "At {hour}."),
        ("[when|at what time] does [it|the {shop}] close?", "At {hour2}."),
        ("what time does the {shop} [close|shut]?", "At {hour2}."),
        ("until when is the {shop} open?", "Until {hour2}."),
    ),
    (
        "The {shop} is open from {hour} to {hour2} on weekdays and until {hour3} on {day}s.",
        ("when does [it|the {shop}] close on {day}s?", "At {hour3}."),
        ("when does the {shop} close on [weekdays|a weekday]?", "At {hour2}."),
        ("when does it open?", "At {hour}."),
    ),
    (
        "The {shop} is closed on {day}s[ and holidays|].",
        ("[on which day|when] is the {shop} closed?", "On {day}s."),
        ("which day is it closed?", "On {day}s."),
        ("is the {shop} open on {day}s?", "No."),
    ),
    (
        "The {vehicle} to {city} leaves from {stop} {n} at {hour}.",
        ("which {stop} does [the {vehicle}|it] leave from?", "{Stop} {n}."),
        ("when does the {vehicle}[ to {city}|] leave?", "At {hour}."),
        ("where does the {vehicle} go?", "To {city}."),
    ),
    (
        "The {vehicle} leaves at {hour} and arrives in {city} at {hour2}.",
        ("when does [it|the {vehicle}] [arrive|get there]?", "At {hour2}."),
        ("[when|what time] does the {vehicle} leave?", "At {hour}."),
        ("where does the {vehicle} arrive?", "In {city}."),
    ),
    (
        "The {vehicle} leaves from {stop} {n}. It leaves at {hour}.",
        ("[what|which] {stop} does it leave from?", "{Stop} {n}."),
        ("what time does [it|the {vehicle}] leave?", "At {hour}."),
    ),
    (
        "The {job} started at {hour} and [finished|ended] at {hour2}.",
        ("when did [it|the {job}] [start|begin]?", "At {hour}."),
        ("when did [it|the {job}] [finish|end]?", "At {hour2}."),
    ),
)
PRICES: tuple[Notice, ...] = (
    (
        "The {thing} costs {price} and the {thing2} costs {price2}.",
        ("how much [is|does] the {thing}[| cost]?", "{price}."),
        ("how much [is|for] the {thing2}?", "{price2}."),
        ("what does the {thing2} cost?", "{price2}."),
        ("[what|which thing] costs {price}?", "The {thing}."),
    ),
    (
        "[Tickets|The tickets] cost {price}[ at the door| for adults| each|].",
        ("how much is a ticket?", "{price}."),
        ("what [does a ticket|do the tickets|do tickets] cost?", "{price}."),
    ),
    (
        "{x} [paid|spent] {price} for a {thing} and {price2} for a {thing2}.",
        ("how much did {x} [pay|spend] for the {thing}?", "{price}."),
        ("how much was the {thing2}?", "{price2}."),
        ("what did {x} buy for {price2}?", "A {thing2}."),
    ),
    (
        "A {thing} is {price}, and [delivery|shipping] is {price2}.",
        ("how much is [delivery|shipping]?", "{price2}."),
        ("how much is [a|the] {thing}?", "{price}."),
    ),
    (
        "The {thing} was {price} but is now {price2}.",
        ("how much is the {thing} now?", "{price2}."),
        ("what did the {thing} cost before?", "{price}."),
        ("what is the new price?", "{price2}."),
    ),
)
PLANS: tuple[Notice, ...] = (
    (
        "The {event} is on {day} at {hour} in the {room}.",
        ("where is the {event}?", "In the {room}."),
        ("when is the {event}?", "On {day} at {hour}."),
        ("what day is the {event}[ on|]?", "On {day}."),
        ("[what time|when] does [the {event}|it] [start|begin]?", "At {hour}."),
        ("which room is the {event} in?", "The {room}."),
    ),
    (
        "The {event} [moves|was moved|has moved] from {day} to {day2} because {reason}.",
        ("why [was|did] the {event} [moved|move]?", "Because {reason}."),
        ("when is the {event} now?", "On {day2}."),
        ("what is the new day[ of the {event}|]?", "{day2}."),
        ("when was the {event} [first|before]?", "On {day}."),
    ),
    (
        "The {event} moves from {date} to {date2}.",
        ("[what is|what's] the new date[ of the {event}|]?", "{date2}."),
        ("what was the old date?", "{date}."),
    ),
    (
        "The {event} is cancelled because {reason}.",
        ("why is the {event} cancelled?", "Because {reason}."),
        ("what is cancelled?", "The {event}."),
    ),
    (
        "Please bring {goods} to the {event}.",
        ("what should [I|we|people|everyone] bring[ to the {event}|]?", "{Goods}."),
        ("what do I have to bring?", "{Goods}."),
    ),
    (
        "{x} will [run|organise|lead] the {event}, and {y} will [look after|book] the {room}.",
        ("who [runs|will run|is running|organises|leads] the {event}?", "{x}."),
        ("who [looks after|books|will book] the {room}?", "{y}."),
        ("what does {y} look after?", "The {room}."),
    ),
    (
        "We [move|are moving] to the {nth} floor on {date}.",
        ("which floor are we moving to?", "The {nth} floor."),
        ("when [do we|are we going to] move?", "On {date}."),
    ),
    (
        "The {event} starts on {date} and lasts {number} days.",
        ("how long does [it|the {event}] last?", "{number} days."),
        ("when does the {event} start?", "On {date}."),
    ),
    (
        "{x} is on holiday until {day}.",
        ("until when is {x} [away|on holiday]?", "Until {day}."),
        ("who is on holiday?", "{x}."),
        ("when is {x} back?", "On {day}."),
    ),
    (
        "I will [come|arrive|visit you] on {day} by {vehicle}.",
        ("[when|which day] [do I|will I] [come|arrive]?", "On {day}."),
        ("how will I [come|travel]?", "By {vehicle}."),
    ),
)
PEOPLE_DO: tuple[Notice, ...] = (
    (
        "{x} teaches {subject} and {y} teaches {subject2}.",
        ("who teaches {subject}?", "{x}."),
        ("who teaches {subject2}?", "{y}."),
        ("what does {y} teach?", "{Subject2}."),
        ("what subject does {x} teach?", "{Subject}."),
    ),
    (
        "{x} bought {goods} and {y} bought {goods2}.",
        ("who bought {goods2}?", "{y}."),
        ("what did {x} buy?", "{Goods}."),
        ("what did {y} buy?", "{Goods2}."),
    ),
    (
        "{x} ordered {food} and {y} ordered {food2}.",
        ("what did {x} [order|have]?", "{Food}."),
        ("what did {y} [order|have]?", "{Food2}."),
        ("who [ordered|had] {food}?", "{x}."),
        ("tell me what {x} ordered.", "{Food}."),
    ),
    (
        "{x} gave {goods} to {y}.",
        ("who has {goods} now?", "{y}."),
        ("who gave {goods} to {y}?", "{x}."),
        ("what did {x} give {y}?", "{Goods}."),
        ("who got {goods}?", "{y}."),
    ),
    (
        "{x} won the first game and {y} won the [second|next] one.",
        ("who won the first game?", "{x}."),
        ("who won the [second|next] game?", "{y}."),
    ),
    (
        "My {pet} is called {x} and my {pet2} is called {y}.",
        ("[what is|what's|whats] the name of my {pet}?", "{x}."),
        ("what is my {pet2} called?", "{y}."),
        ("who is {x}?", "My {pet}."),
    ),
    (
        "Our {pet} {x} sleeps {where}. Our {pet2} {y} sleeps {where2}.",
        ("where does [the {pet}|{x}] sleep?", "{Where}."),
        ("where does [the {pet2}|{y}] sleep?", "{Where2}."),
        ("[what is|what's] the name of the {pet}?", "{x}."),
    ),
    (
        "{x} has a {color} {pet} [named|called] {y}.",
        ("what is the {pet}'s name?", "{y}."),
        ("what [color|colour] is the {pet}?", "{Color}."),
        ("whose {pet} is {y}?", "{x}'s."),
    ),
    (
        "{x} has a {color} {thing} and a {color2} {thing2}.",
        ("what [color|colour] is the {thing}?", "{Color}."),
        ("what [color|colour] is the {thing2}?", "{Color2}."),
        ("what is {color2}?", "The {thing2}."),
    ),
    (
        "{x} is {age} [years old |]and {y} is {age2}[ years old|].",
        ("how old is {x}?", "{age}."),
        ("how old is {y}?", "{age2}."),
        ("who is {age2}?", "{y}."),
    ),
    (
        "{x} {lost} {goods}, so {y} {went_home}.",
        ("why did {y} {go_home}?", "Because {x} {lost} {goods}."),
        ("what did {x} {lose}?", "{Goods}."),
    ),
    (
        "{x} flew from {city} to {city2} on {day} and came back on {day2}.",
        ("when did {x} come back?", "On {day2}."),
        ("what day did {x} [leave|fly]?", "On {day}."),
        ("where did {x} fly to?", "To {city2}."),
        ("where did {x} come from?", "From {city}."),
    ),
    (
        "{x}: [working on|finishing] the {job}. {y}: waiting for {goods}.",
        ("who is waiting?", "{y}."),
        ("what is {y} waiting for?", "{Goods}."),
        ("what is {x} [doing|working on|finishing]?", "The {job}."),
    ),
    (
        "{x} will replace the {thing} on {day}.",
        ("what will {x} replace?", "The {thing}."),
        ("who [replaces|will replace] the {thing}?", "{x}."),
        ("when is the {thing} replaced?", "On {day}."),
    ),
    (
        "[The doctor|The dentist|The coach|{x}] [wants to see|will see] me again in {month}.",
        ("when do I go back?", "In {month}."),
        ("when is my next visit?", "In {month}."),
    ),
)
FIGURES: tuple[Notice, ...] = (
    (
        "The recipe needs {number} eggs, {number2} cups of {food} and {number3} cups of milk.",
        ("how many eggs [are needed|do I need|does it need]?", "{number}."),
        ("how many cups of {food} [are needed|do I need]?", "{number2}."),
        ("how much milk do I need?", "{number3} cups."),
    ),
    (
        "The {place} has {number} floors. {Items} are on the {nth} floor.",
        ("how many floors does [it|the {place}] have?", "{number}."),
        ("where are the {items}?", "On the {nth} floor."),
        ("which floor are the {items} on?", "The {nth} floor."),
        ("what is on the {nth} floor?", "{Items}."),
    ),
    (
        "{Items} are on the {nth} floor and {items2} are on the {nth2} floor.",
        ("where are the {items}?", "On the {nth} floor."),
        ("where [are|can I find] the {items2}?", "On the {nth2} floor."),
        ("what is on the {nth2} floor?", "{Items2}."),
    ),
    (
        "The survey had {n} [answers|replies], and {m} people asked for {goods}.",
        ("how many people asked for {goods}?", "{m}."),
        ("how many [answers|replies] did the survey have?", "{n}."),
        ("what did {m} people ask for?", "{Goods}."),
    ),
    (
        "In {month} the {shop} sold {n} {items}, {m} more than in {month2}.",
        ("how many {items} were sold in {month}?", "{n}."),
        ("when [did it sell|were] {n} {items}[| sold]?", "In {month}."),
        ("what did the {shop} sell?", "{Items}."),
    ),
    (
        "The new {machine} has {n} GB of memory and [sits|stands] in the {room}.",
        ("how much memory does [it|the {machine}] have?", "{n} GB."),
        ("where is the {machine}?", "In the {room}."),
    ),
    (
        "The {place} was built in {year}. It was {repaired} in {year2}.",
        ("when was [it|the {place}] built?", "In {year}."),
        ("when was [it|the {place}] {repaired}?", "In {year2}."),
        ("what happened in {year2}?", "It was {repaired}."),
    ),
    (
        "{Items} were the weakest product and {items2} the [best|strongest].",
        ("what was the weakest product?", "{Items}."),
        ("what was the [best|strongest] product?", "{Items2}."),
    ),
)
REVIEWS: tuple[Notice, ...] = (
    (
        "The {product} is {good}, but [it is|it's] {bad}.",
        ("what is good about [it|the {product}]?", "It is {good}."),
        ("what is [wrong|bad] with [it|the {product}]?", "It is {bad}."),
        ("what is the [problem|complaint]?", "It is {bad}."),
    ),
    (
        "The {product} stopped working after {number} {unit}.",
        ("what stopped working?", "The {product}."),
        ("when did [it|the {product}] stop working?", "After {number} {unit}."),
    ),
    (
        "{Animals} live in {habitat} and eat {diet}.",
        ("where do {animals} live?", "In {habitat}."),
        ("what do {animals} eat?", "{Diet}."),
        ("which animals live in {habitat}?", "{Animals}."),
    ),
    (
        "{Animals} cannot {able}, but they {able2} very well.",
        ("can {animals} {able}?", "No."),
        ("can {animals} {able2}?", "Yes."),
        ("what [can {animals} do|do {animals} do] well?", "{Able2}."),
        ("what can they not do?", "{Able}."),
    ),
)
TOPICS = (HOURS, PRICES, PLANS, PEOPLE_DO, FIGURES, REVIEWS)
OPENINGS = (
    *("Dear [parents|all|neighbors|customers],", "Hi [team|all|everyone|{z}],", "Hello {z},"),
    *("[Notes|Note|Notice|News|Report|Update|Memo|Reminder|Message|Minutes|Review]:", "To all:"),
    *("From: {z}\nSubject: {subject}\n", "[Standup|Meeting|Team] notes.", "{z} writes:"),
)
