"""Tools without parameters, functions of numbers and texts, countries, and records."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Given, Kind, Result, Value, fields
from training.wordings import Draw

COUNTRIES = t.one_of(
    "France|Italy|Germany|Spain|Norway|Austria|Ireland|Portugal|Greece|Poland|Egypt|Japan|India|"
    "Peru|Canada|Brazil|Chile|Cuba|Kenya|Sweden|Finland|Denmark|Hungary|Turkey|China|Mexico|Nepal"
)
QUESTIONS = t.one_of(
    "Who invented the telephone|How tall is the tallest tree|Who wrote this song|Who is the "
    "king|When was the moon landing|How old is the universe|Who won the game|Where do penguins "
    "live|Why is the sky blue|Who painted this picture|How many people live in Rome|What is a "
    "quark|How do plants grow|Who was the first president|When did the war end|Where is the "
    "Nile|What do pandas eat|How fast is light|How deep is the ocean|Who discovered radium|When "
    "does summer start|What is the longest river|How far is the moon|Who built the pyramids"
)
DATES = tuple(f"2025-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29))


def _area(draw: Draw, given: Given) -> Value:
    return int(given["width"]) * int(given["height"])  # type: ignore[arg-type]


def _reversed(draw: Draw, given: Given) -> Value:
    return str(given["text"])[::-1]


WEB_QUESTION = Kind(
    tuple("ask_web web_search search search_web find_answer".split()),
    ("Search the web.", "Search the internet for an answer."),
    {"query": t.text("query query q question text", QUESTIONS)},
    (
        "{query}?",
        "{query}? [Search the web|Look it up|Search for it].",
        "[Search|Look up|Search the web|Web search]: {query}?",
        "{query}? I don't know[ it|].",
        "[I want to know|Find out|Tell me]: {query}?",
        "~Search the web: {query}?",
        "~Look this up: {query}?",
        "[A question for the web|Ask the web]: {query}?",
        "{query}? Use the [web|search|internet].",
        "Do you know this? {query}?",
    ),
    (Result("I found {count} results.", fields(count=t.any_number(1, 999))),),
    "search",
)
NOW = Kind(
    tuple("get_date current_date today get_today get_current_date".split()),
    ("Get the date of today.", "Today's date."),
    {},
    (
        "[What is|What's] [the date|today's date|the date today]?",
        "[What|Which] day is [it|today]?",
        "~[Tell|Give|Show] me [the date|today's date].",
        "[Date|Today's date|The date|Current date][?|]",
        "~[Get|Check|Look up] [the date|today's date|the current date].",
        "I [need|want] to know [the date|what day it is].",
        "Do you know [the date|what day it is]?",
        "[Is it|Is today] [Monday|Friday|Sunday|the first]?",
        "What is the day today?",
        "Today is which day?",
    ),
    (Result("Today is {date}.", {"date": lambda draw, given: draw.slot(DATES)}),),
)
JOKE = Kind(
    tuple("tell_joke get_joke random_joke joke".split()),
    ("Tell a joke.", "Get a random joke."),
    {},
    (
        "~Tell [me |us |]a joke.",
        "~Make me laugh.",
        "Do you know a [good |]joke?",
        "[A joke|Joke|Another joke][ please|]",
        "I want to hear a joke.",
        "~Give me a [funny |]joke.",
        "Say something funny.",
        "I need a [good |]laugh.",
        "~Get a [random |]joke.",
        "Can I hear a [good |funny |]joke?",
    ),
    (Result("{joke}", {"joke": lambda draw, given: f"{t.phrase(draw)} {t.phrase(draw)}"}),),
)
COIN = Kind(
    tuple("flip_coin coin_flip toss_coin coin".split()),
    ("Flip a coin.", "Heads or tails."),
    {},
    (
        "~[Flip|Toss|Throw] a coin.",
        "Heads or tails?",
        "~[Flip|Toss] a coin for [me|us].",
        "[Coin flip|Coin toss|A coin flip]",
        "I need a coin [flip|toss].",
        "~Decide by a coin [flip|toss].",
        "What does the coin say?",
        "~Throw a coin[ in the air|].",
        "Can we [flip|toss] a coin?",
        "Let a coin decide.",
    ),
    (Result("It is {side}.", fields(side=t.any_word("heads|tails"))),),
)
STOP_MUSIC = Kind(
    tuple("stop_music pause_music stop_playing pause music_off".split()),
    ("Stop the music.", "Pause the music."),
    {},
    (
        "~[Stop|Pause|End|Turn off|Switch off] the [music|song|player].",
        "~Stop [playing|it].",
        "[Music|Song] off",
        "~Turn the music off.",
        "No [more |]music.",
        "[Quiet|Silence]!",
        "I don't want to hear [music|this song|the music].",
        "The music should stop.",
        "~Be quiet, no music.",
        "Can you [stop|pause] the music?",
    ),
    (Result("The music is off."),),
)
SCREENSHOT = Kind(
    tuple("take_screenshot screenshot capture_screen screen_capture".split()),
    ("Take a screenshot.", "Capture the screen."),
    {},
    (
        "~[Take|Make] a screenshot.",
        "~[Capture|Photograph] [the|my] screen.",
        "[Screenshot|A screenshot|Screen capture]",
        "I need a [screenshot|picture of my screen].",
        "~Save a picture of [the|my] screen.",
        "Can I have a screenshot?",
        "~Get a screenshot.",
        "A picture of [the|my] screen",
        "~Snap the screen.",
        "I want a [screenshot|picture of the screen].",
    ),
    (Result("The screenshot was saved."),),
)
LIST_FILES = Kind(
    tuple("list_files list_directory get_files ls show_files".split()),
    ("List the files in a folder.", "List a directory."),
    {
        "path": t.quotable(
            "path path folder directory dir",
            lambda draw: draw.pick(("{}", "/{}", "./{}", "{}/", "/home/{}")).format(t.word(draw)),
        )
    },
    (
        "~[List|Show|Print] [the |all |]files in {path}.",
        "[What|Which] files are in {path}?",
        "What is in the [folder|directory] {path}?",
        "[Files in|List files in|Content of the folder] {path}[?|]",
        "ls {path}",
        "~Show me [the content of |what is in |]the [folder|directory] {path}.",
        "~Look into the [folder|directory] {path}.",
        "I want to see the files in {path}.",
        "~Tell me what files are in {path}.",
        "Is there anything in the [folder|directory] {path}?",
    ),
    (Result("There are {count} files in {path}.", fields(count=t.any_number(0, 99))),),
)
FACTORIAL = Kind(
    tuple("factorial compute_factorial fact get_factorial".split()),
    ("Factorial of a number.", "Calculate n!."),
    {"n": t.whole("n number n value x", t.up_to(5, 10, 20))},
    (
        "[What is|What's] the factorial of {n}?",
        "~[Calculate|Compute|Find|Get] the factorial of {n}.",
        "[What is|What's] {n}!?",
        "[Factorial|Factorial of|Factorial:] {n}[?|]",
        "{n}!",
        "~[Give|Tell] me the factorial of {n}.",
        "I need the factorial of {n}.",
        "{n} factorial[?|]",
        "How much is {n} factorial?",
        "~Work out {n} factorial.",
    ),
    (Result("The factorial is {result}.", fields(result=t.any_number(1, 9999))),),
)
ROOT = Kind(
    tuple("square_root sqrt root get_sqrt calculate_square_root".split()),
    ("Square root of a number.", "Calculate a square root."),
    {"x": t.number("x number x value n", t.amount)},
    (
        "[What is|What's] the [square |]root of {x}?",
        "~[Calculate|Compute|Find|Get] the [square |]root of {x}.",
        "[Square root|Root|sqrt] [of |]{x}[?|]",
        "sqrt({x})",
        "~[Give|Tell] me the square root of {x}.",
        "I need the [square |]root of {x}.",
        "Which number squared is {x}?",
        "~Take the [square |]root of {x}.",
        "How much is the square root of {x}?",
        "~Work out the square root of {x}.",
    ),
    (Result("The square root of {x} is {result}.", fields(result=t.any_price)),),
)
PRIME = Kind(
    tuple("is_prime check_prime prime_check test_prime".split()),
    ("Check if a number is prime.", "Prime test."),
    {"n": t.whole("n number n value x", t.up_to(20, 99, 999))},
    (
        "Is {n} [a prime|prime|a prime number]?",
        "~[Check|Test|Find out] if {n} is [prime|a prime|a prime number].",
        "{n}: prime[ or not|]?",
        "~Tell me [if|whether] {n} is [prime|a prime number].",
        "I want to know [if|whether] {n} is prime.",
        "Prime or not: {n}",
        "Does {n} have divisors?",
        "Is the number {n} prime[ or not|]?",
        "Can you divide {n} or is it prime?",
        "~Do a prime test on {n}.",
    ),
    (
        Result(
            "The answer is {answer}.",
            fields(answer=t.any_word("yes|no|true|false|prime|composite")),
        ),
    ),
)
AREA = Kind(
    tuple("rectangle_area calculate_area area get_area area_of_rectangle".split()),
    ("Area of a rectangle.", "Calculate the area of a rectangle."),
    {
        "width": t.whole("width width w a length", t.up_to(9, 20, 99)),
        "height": t.whole("height height h b width", t.up_to(9, 20, 99)),
    },
    (
        "[What is|What's] the area of a [rectangle|room|field] of {width} [by|x] {height}?",
        "~[Calculate|Compute|Find|Get] the area of a {width} [by|x] {height} rectangle.",
        "[Area|Area of a rectangle]: {width} [x|by|*] {height}",
        "A [room|rectangle|garden] is {width} [by|x|m by] {height}. [How big is it|What is the "
        "area]?",
        "~Give me the area of a [rectangle|field] with sides {width} and {height}.",
        "How big is a [field|room|rectangle] of {width} [by|x] {height}?",
        "I need the area of {width} by {height}.",
        "Rectangle, {width} x {height}, area[?|]",
        "~Work out the area for width {width} and height {height}.",
        "Width {width}, height {height}: [what is the|the] area?",
    ),
    (Result("The area is {area}.", fields(area=_area)),),
)
TIP = Kind(
    tuple("calculate_tip tip get_tip tip_calculator".split()),
    ("Calculate a tip.", "Tip for a bill."),
    {
        "bill": t.number("bill bill amount total", t.amount),
        "percent": t.whole(
            "percent percent percentage rate",
            lambda draw: draw.pick((5, 8, 10, 12, 15, 18, 20, 25)),
        ),
    },
    (
        "[What is|What's] a {percent}[ percent|%] tip on {bill}?",
        "~[Calculate|Compute|Work out] a {percent}[ percent|%] tip [on|for] {bill}.",
        "How much is {percent}[ percent|%] tip [on|for] {bill}?",
        "The bill is {bill}. [What is|How much is] a {percent}[ percent|%] tip?",
        "[Tip|A tip] of {percent}[ percent|%] on {bill}[?|]",
        "{percent}[ percent|%] tip for {bill}[?|]",
        "I paid {bill} and want to tip {percent}[ percent|%]. How much?",
        "~Give me the tip for {bill} at {percent}[ percent|%].",
        "Bill: {bill}, tip: {percent}[ percent|%]",
        "How much do I tip on {bill} at {percent}[ percent|%]?",
    ),
    (Result("The tip is {tip}.", fields(tip=t.any_price)),),
)
REVERSE = Kind(
    tuple("reverse_text reverse_string reverse flip_text".split()),
    ("Reverse a text.", "Reverse a string."),
    {"text": t.quotable("text text string s input", t.word)},
    (
        "~Reverse [the word |the text |the string |]{text}.",
        "~Write {text} backwards.",
        "[What is|What's] {text} [backwards|reversed|in reverse]?",
        "{text} [backwards|reversed|in reverse]",
        "[Reverse|Backwards|Reverse this]: {text}",
        "~Spell {text} backwards.",
        "How do I write {text} backwards?",
        "~Turn [the word |]{text} around.",
        "I need {text} [backwards|reversed].",
        "~Flip the letters of {text}.",
    ),
    (Result("{text} reversed is {result}.", fields(result=_reversed)),),
)
POPULATION = Kind(
    tuple("get_population population country_population lookup_population".split()),
    ("Population of a country.", "Get the population."),
    {"country": t.text("country country name nation", COUNTRIES)},
    (
        "How many people [live|are there] in {country}?",
        "[What is|What's] the population of {country}?",
        "~[Get|Find|Look up|Tell me] the population of {country}.",
        "[Population of|Population] {country}[?|]",
        "{country} population[?|]",
        "How [big|large] is the population of {country}?",
        "I need the population of {country}.",
        "How many [inhabitants|people] does {country} have?",
        "~Give me the number of people in {country}.",
        "Do you know the population of {country}?",
    ),
    (Result("{population} people live in {country}.", fields(population=t.any_number(9, 99999))),),
)
CREATE_USER = Kind(
    tuple("create_user add_user register_user new_user create_account".split()),
    ("Create a user.", "Register a new user."),
    {
        "name": t.text("name name username full_name user", t.person),
        "age": t.whole(
            "age age years", t.up_to(99), ", age {value}", ", {value} years old", " ({value})"
        ),
        "email": t.text(
            "email email mail address", t.address, ", email {value}", " with the email {value}"
        ),
    },
    (
        "~[Create|Add|Register|Make] a [new |]user [named |called |]{name}.",
        "[New user|User|Add user|Register]: {name}{more}",
        "~[Create|Open|Make] an account for {name}.",
        "{name} [is a new user|wants an account]{more}.",
        "~[Add|Register] {name} as a [new |]user.",
        "We have a new user: {name}{more}.",
        "I [want|need] to [add|create|register] the user {name}.",
        "~Sign up {name}.",
        "Can you [add|create] a user {name}{more}?",
        "~Put {name} in the list of users.",
    ),
    (Result("The user {name} was created."),),
)
LIGHT_OFF = Kind(
    tuple("turn_off_light light_off lights_off turn_off_lights switch_off_light".split()),
    ("Turn off the light in a room.", "Light off."),
    {"room": t.text("room room location place area", t.one_of("|".join(t.ROOMS)))},
    (
        "~[Turn|Switch] off the [light|lights] in the {room}.",
        "~[Turn|Switch] the {room} [light|lights] off.",
        "[Light|Lights] off in the {room}",
        "{room} [light|lights] off",
        "It is too bright in the {room}.",
        "Nobody is in the {room}. [Lights off.|Turn off the light.]",
        "~Make it dark in the {room}.",
        "~[Turn off|Switch off|Kill] the {room} [light|lights|lamp].",
        "No light in the {room}[ please|].",
        "~Turn the [light|lamp] in the {room} off.",
        "Can the light in the {room} be off?",
    ),
    (Result("The light in the {room} is off."),),
    "set_light_color set_light",
)
