"""Scenes of passages without people: events, shops, products, boxes, weather, meals, pets."""

from training.tasks.passages.facts import (
    EVENTS,
    LOST_THINGS,
    PRODUCTS,
    SHOPS,
    SKIES,
    SPOTS,
    Attribute,
    Scene,
    contents,
    numbers,
    people,
    rooms,
    times,
    words,
)
from training.tasks.passages.scenes import boxes, trains
from training.tasks.words import ANIMALS, CITIES, COLORS, DAYS, FOODS

MEALS = "breakfast lunch dinner supper dessert brunch".split()

EVENT = Scene(
    words(EVENTS, "the {}"),
    {
        "time": Attribute(
            "{S} starts at {v}.",
            ("{S} starts at {v}.", "{S} is at {v}.", "{S} begins at {v}.", "At {v} {s} starts."),
            (
                "When does {s} [start|begin]?",
                "[What time|At what time] does {s} [start|begin]?",
                "What time is {s}[ at|]?",
                "[Start|Starting time|Time|Beginning] of {s}?",
                "~[Tell me|Say] when {s} [starts|begins].",
                "{s} starts [when|at what time]?",
                "At what time [should I be|do I have to be] at {s}?",
            ),
            times,
            ("What [starts|begins] at {v}?", "[Which event|What] is at {v}?"),
            ("Does {s} [start|begin] at {v}?", "Is {s} at {v}?"),
        ),
        "place": Attribute(
            "{S} is {v}.",
            ("{S} is {v}.", "{S} takes place {v}.", "{S} will be {v}.", "{S} is held {v}."),
            (
                "Where is {s}?",
                "Where does {s} take place?",
                "Where will {s} be[ held|]?",
                "[Place|Location] of {s}?",
                "~[Tell me|Say] where {s} is.",
                "{s} is where?",
                "Where do I have to go for {s}?",
                "[In which|Which|What] [room|place] is {s}[ in|]?",
            ),
            rooms,
            ("What [is|takes place] {v}?",),
            ("Is {s} {v}?", "Does {s} take place {v}?"),
        ),
        "day": Attribute(
            "{S} is on {v}.",
            ("{S} is on {v}.", "{S} takes place on {v}.", "{S} will be on {v}."),
            (
                "[On which|Which|What] day is {s}?",
                "What day of the week is {s}[ on|]?",
                "[Day|Weekday] of {s}?",
                "~[Tell me|Say] [on which|which] day {s} is.",
                "{s} is on [which|what] day?",
                "[On which|Which] day does {s} take place?",
            ),
            words(DAYS),
            ("What is on {v}?", "What takes place on {v}?"),
            ("Is {s} on {v}?",),
        ),
        "guests": Attribute(
            "{v} people come to {s}.",
            ("{v} people come to {s}.", "{v} people will come to {s}.", "{S} has {v} guests."),
            (
                "How many people [come|will come|go] to {s}?",
                "How many [guests|people] are [at|coming to] {s}?",
                "~[Tell me|Say] how many people come to {s}.",
                "[Number of people|Number of guests|Guests] at {s}?",
                "How many guests does {s} have?",
                "What is the number of guests [of|at] {s}?",
            ),
            numbers(5, 200),
            (),
            ("Do {v} people come to {s}?",),
        ),
    },
    {
        ("time", "place"): (
            "{S} is at {time} {place}.",
            "{S} starts at {time} {place}.",
            "{S} is {place} at {time}.",
            "We have {a_noun} at {time} {place}.",
            "There is {a_noun} {place} at {time}.",
        ),
        ("day", "time"): (
            "{S} is on {day} at {time}.",
            "{S} starts on {day} at {time}.",
            "We have {a_noun} on {day} at {time}.",
            "There is {a_noun} on {day} at {time}.",
            "On {day} at {time} {s} begins.",
        ),
        ("day", "place"): ("{S} is on {day} {place}.", "On {day} {s} takes place {place}."),
        ("day", "time", "place"): (
            "{S} is on {day} at {time} {place}.",
            "We have {a_noun} {place} on {day} at {time}.",
            "There is {a_noun} on {day} at {time} {place}.",
            "{S} will be {place} on {day} at {time}.",
            "{S} takes place {place} on {day} at {time}.",
        ),
    },
)
SHOP = Scene(
    words(SHOPS, "the {}"),
    {
        "opens": Attribute(
            "{S} opens at {v}.",
            ("{S} opens at {v}.", "{S} is open from {v}.", "{S} opens at {v} every day."),
            (
                "When does {s} open?",
                "[What time|At what time] does {s} open?",
                "[Opening time|Opening] of {s}?",
                "~[Tell me|Say] when {s} opens.",
                "{s} opens [when|at what time]?",
                "From when is {s} open?",
            ),
            numbers(6, 11, "{} am"),
            ("What opens at {v}?",),
            ("Does {s} open at {v}?",),
        ),
        "closes": Attribute(
            "{S} closes at {v}.",
            ("{S} closes at {v}.", "{S} is open until {v}.", "{S} shuts at {v}."),
            (
                "When does {s} [close|shut]?",
                "[What time|At what time] does {s} [close|shut]?",
                "[Closing time|Closing] of {s}?",
                "~[Tell me|Say] when {s} closes.",
                "{s} closes [when|at what time]?",
                "[Until when|How long] is {s} open?",
            ),
            numbers(3, 11, "{} pm"),
            ("What closes at {v}?",),
            ("Does {s} close at {v}?",),
        ),
        "free": Attribute(
            "{S} is closed on {v}.",
            ("{S} is closed on {v}.", "On {v} {s} is closed.", "{S} does not open on {v}."),
            (
                "[On which|Which|What] day is {s} closed?",
                "When is {s} closed?",
                "[Closed day|Day off] of {s}?",
                "~[Tell me|Say] which day {s} is closed.",
                "{s} is closed on which day?",
                "[On which|Which] day does {s} not open?",
            ),
            words(DAYS),
            ("What is closed on {v}?",),
            ("Is {s} closed on {v}?",),
        ),
    },
    {
        ("opens", "closes"): (
            "{S} is open from {opens} to {closes}.",
            "{S} opens at {opens} and closes at {closes}.",
            "{S} opens at {opens} and shuts at {closes}.",
        ),
    },
)
PRODUCT = Scene(
    words(PRODUCTS, "the {}"),
    {
        "price": Attribute(
            "{S} costs {v}.",
            ("{S} costs {v}.", "{S} is {v}.", "The price of {s} is {v}.", "{S} sells for {v}."),
            (
                "How much [does {s} cost|is {s}]?",
                "What does {s} cost?",
                "What is the price of {s}?",
                "[Price|Cost] of {s}?",
                "~[Tell me|Find|Give me|Say] the price of {s}.",
                "How [expensive|much money] is {s}?",
                "{s} costs how much?",
            ),
            numbers(2, 99, "{} dollars"),
            ("[What|Which product|Which thing] costs {v}?",),
            ("Does {s} cost {v}?", "Is the price of {s} {v}?"),
        ),
        "paint": Attribute(
            "{S} is {v}.",
            ("{S} is {v}.", "The color of {s} is {v}.", "{S} is painted {v}."),
            (
                "[What|Which] [color|colour] is {s}?",
                "What is the [color|colour] of {s}?",
                "[Color|Colour] of {s}?",
                "~[Tell me|Find|Say] the color of {s}.",
                "{s} is [what|which] [color|colour]?",
                "[What|Which] [color|colour] does {s} have?",
            ),
            words(COLORS),
            ("What is {v}?", "Which [thing|one] is {v}?"),
            ("Is {s} {v}?",),
        ),
    },
    {("paint", "price"): ("{S} is {paint} and costs {price}.", "{S} is {paint}, for {price}.")},
)
BOX = Scene(
    boxes,
    {
        "content": Attribute(
            "{S} holds {v}.",
            ("{S} holds {v}.", "{S} contains {v}.", "In {s} are {v}.", "There are {v} in {s}."),
            (
                "What is in {s}?",
                "What does {s} [hold|contain]?",
                "What is inside {s}?",
                "[Content|Contents] of {s}?",
                "~[Tell me|Say] what is in {s}.",
                "How many {h} are in {s}?",
                "How many {h} does {s} [hold|contain]?",
                "What can I find in {s}?",
            ),
            contents,
            ("[Which one|What] holds {v}?", "Where are the {h}?", "What holds the {h}?"),
            ("Does {s} hold {v}?", "Are there {v} in {s}?"),
        ),
    },
)
OBJECT = Scene(
    words(LOST_THINGS, "the {}"),
    {
        "spot": Attribute(
            "{S} is {v}.",
            ("{S} is {v}.", "{S} lies {v}.", "You can find {s} {v}.", "I left {s} {v}."),
            (
                "Where is {s}?",
                "Where [can I find|do I find] {s}?",
                "Where did [I|you] [put|leave] {s}?",
                "[Place|Location] of {s}?",
                "~[Tell me|Say] where {s} is.",
                "{s} is where?",
                "Where does {s} lie?",
            ),
            words(SPOTS),
            ("What [is|lies] {v}?",),
            ("Is {s} {v}?",),
        ),
    },
)
WEATHER = Scene(
    words(CITIES),
    {
        "sky": Attribute(
            "It is {v} in {s}.",
            ("It is {v} in {s}.", "In {s} it is {v}.", "The weather in {s} is {v}."),
            (
                "[What is|How is] the weather [in|like in] {s}?",
                "What is it like in {s}?",
                "[Weather|The weather] in {s}?",
                "~[Tell me|Give me] the weather in {s}.",
                "How is it in {s}?",
                "What weather does {s} have?",
            ),
            words(SKIES),
            ("Where is it {v}?", "[In which city is it|Which city is] {v}?"),
            ("Is it {v} in {s}?",),
        ),
        "degrees": Attribute(
            "It is {v} in {s}.",
            ("It is {v} in {s}.", "In {s} it is {v}.", "The temperature in {s} is {v}."),
            (
                "How [warm|hot|cold] is it in {s}?",
                "What is the temperature in {s}?",
                "How many degrees [is it|are there] in {s}?",
                "[Temperature|Degrees] in {s}?",
                "~[Tell me|Give me] the temperature in {s}.",
                "What temperature does {s} have?",
            ),
            numbers(2, 38, "{} degrees"),
            ("Where is it {v}?",),
            ("Is it {v} in {s}?",),
        ),
    },
    {("sky", "degrees"): ("It is {sky} in {s}, with {degrees}.", "In {s} it is {sky}, {degrees}.")},
)
TRAIN = Scene(
    trains,
    {
        "leaves": Attribute(
            "{S} leaves at {v}.",
            ("{S} leaves at {v}.", "{S} departs at {v}.", "{S} goes at {v}."),
            (
                "When does {s} [leave|depart|go]?",
                "[What time|At what time] does {s} [leave|depart|go]?",
                "[Departure|Departure time] of {s}?",
                "~[Tell me|Say] when {s} leaves.",
                "{s} leaves [when|at what time]?",
                "When do I have to be at {s}?",
            ),
            times,
            ("[What|Which one] [leaves|departs] at {v}?",),
            ("Does {s} leave at {v}?",),
        ),
    },
)
MEAL = Scene(
    words(MEALS),
    {
        "dish": Attribute(
            "{S} is {v}.",
            ("For {s} there is {v}.", "{S} is {v}.", "We have {v} for {s}.", "We eat {v} for {s}."),
            (
                "What is for {s}?",
                "What do we [have|eat] for {s}?",
                "What is there for {s}?",
                "~[Tell me|Say] what is for {s}.",
                "[Food|Dish] for {s}?",
                "What will we [have|eat] for {s}?",
            ),
            words(FOODS),
            ("[When|At which meal] do we [eat|have] {v}?",),
            ("Do we have {v} for {s}?", "Is there {v} for {s}?"),
        ),
    },
)
PET = Scene(
    words(ANIMALS, "the {}"),
    {
        "called": Attribute(
            "{S} is called {v}.",
            ("{S} is called {v}.", "{S}'s name is {v}.", "The name of {s} is {v}."),
            (
                "What is {s} called?",
                "What is {s}'s name?",
                "What is the name of {s}?",
                "~[Tell me|Say] the name of {s}.",
                "[Name|The name] of {s}?",
                "{s} is called what?",
            ),
            people,
            ("[Who|Which animal] is [called |]{v}?",),
            ("Is {s} called {v}?", "Is {s}'s name {v}?"),
        ),
    },
)
