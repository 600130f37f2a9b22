"""Tables of general knowledge, and the frames that ask for it."""


def _answered(text: str) -> list[tuple[str, str]]:
    """Pairs of a question and its answer, one a line."""
    rows = [line.strip().rpartition("|") for line in text.strip().splitlines()]
    return [(core, answer) for core, _, answer in rows]


COUNT_FRAMES = (
    "How many $?",
    "how many $",
    "[Tell me|Do you know|Can you tell me] how many $?",
    "~Tell me how many $.",
    "[Quiz|Trivia|Question|Math]: how many $?",
    "[I forgot|I want to know|I wonder] how many $.",
    "[Exactly|And|So] how many $?",
    "[Please answer|Answer this|Answer me]: how many $?",
    "What is the number: how many $?",
    "My [son|daughter|teacher|friend] asks: how many $?",
    "[Who knows|Guess] how many $?",
    "how many $ [again|in total|exactly]?",
)
VALUE_FRAMES = (
    "[What is|What's|whats] $?",
    "[Which|What] is $?",
    "$[?|]",
    "~[Tell me|Give me|Name|Say|State] $.",
    "[Do you know|Can you tell me|Can you name] $?",
    "$ is[...| ___| what?|]",
    "[Quiz|Trivia|Question]: $[?|]",
    "[I want to know|I'd like to know|I forgot|I need] $",
    "[What|Which] exactly is $?",
    "[So|And] what is $?",
    "[Please answer|Answer this]: what is $?",
    "My [son|daughter|teacher|friend] asks: what is $?",
)
PERSON_FRAMES = (
    "Who $?",
    "who $",
    "[Tell me|Do you know|Can you tell me] who $?",
    "[Quiz|Trivia|Question]: who $?",
    "~Name the person who $.",
    "[What is|What's] the name of the person who $?",
    "[Which|What] person $?",
    "[I want to know|I forgot|I wonder] who $",
    "[So|And] who $?",
    "Who was it that $?",
    "My [son|daughter|teacher|friend] asks: who $?",
    "The person who $ [was|is][...| ___|]",
)
# What is asked in the frames above, further questions, and the answer.
COUNTS = _answered(
    """
    days [are|are there] in a week|A week has 7 days.
    days does a week have|A week has 7 days.
    days [are|are there] in a year|A year has 365 days, or 366 in a leap year.
    days does a [normal |]year have|A year has 365 days, or 366 in a leap year.
    months [are|are there] in a year|A year has 12 months.
    weeks [are|are there] in a year|A year has 52 weeks.
    hours [are|are there] in a day|A day has 24 hours.
    hours does a day have|A day has 24 hours.
    minutes [are|are there] in an hour|An hour has 60 minutes.
    seconds [are|are there] in a minute|A minute has 60 seconds.
    seconds [are|are there] in an hour|An hour has 3600 seconds.
    years [are|are there] in a century|A century has 100 years.
    years [are|are there] in a decade|A decade has 10 years.
    planets [are there|are in the solar system|does the solar system have]|There are 8 planets.
    continents [are there|does the world have|exist]|There are 7 continents.
    oceans [are there|does the world have]|There are 5 oceans.
    letters [are|are there] in the [English |]alphabet|The alphabet has 26 letters.
    letters does the [English |]alphabet have|The alphabet has 26 letters.
    vowels [are there|are in the alphabet]|There are 5 vowels: a, e, i, o, u.
    colors [are|are there] in [a|the] rainbow|A rainbow has 7 colors.
    seasons [are there|does a year have]|There are 4 seasons.
    bits [are|are there] in a byte|A byte has 8 bits.
    fingers [do humans|do people|does a human|does a person] have|A human has 10 fingers.
    fingers does a hand have|A hand has 5 fingers.
    wheels does a car have|A car has 4 wheels.
    wheels does a [bicycle|bike] have|A bicycle has 2 wheels.
    sides does a [die|dice] have|A die has 6 sides.
    cents [are|are there] in a dollar|A dollar has 100 cents.
    inches [are|are there] in a foot|A foot has 12 inches.
    strings does a guitar have|A guitar has 6 strings.
    players [are|are there] [in|on] a [football|soccer] team|A football team has 11 players.
    states [are|are there] in the [US|USA|United States]|The United States has 50 states.
    degrees [are|are there] in a circle|A circle has 360 degrees.
    eyes [do humans|does a human|do people] have|A human has 2 eyes.
    arms does an octopus have|An octopus has 8 arms.
    """
)
VALUES = _answered(
    """
    the [largest|biggest] planet[ in the solar system|]|The largest planet is Jupiter.
    the smallest planet[ in the solar system|]|The smallest planet is Mercury.
    the planet [closest|nearest] to the sun|The planet closest to the sun is Mercury.
    the hottest planet|The hottest planet is Venus.
    the planet with the [famous |big |]rings|The planet with the big rings is Saturn.
    the red planet|The red planet is Mars.
    the [largest|biggest] ocean[ in the world|]|The largest ocean is the Pacific.
    the [largest|biggest] continent|The largest continent is Asia.
    the [largest|biggest] country[ in the world|]|The largest country is Russia.
    the smallest country[ in the world|]|The smallest country is Vatican City.
    the [highest|tallest] mountain[ in the world|]|The highest mountain is Mount Everest.
    the [largest|biggest] animal[ in the world|]|The largest animal is the blue whale.
    the tallest animal[ in the world|]|The tallest animal is the giraffe.
    the fastest [land animal|animal on land]|The fastest land animal is the cheetah.
    the [largest|biggest] land animal|The largest land animal is the elephant.
    the king of the [jungle|animals]|The king of the animals is the lion.
    the longest river [in|of] Africa|The longest river of Africa is the Nile.
    the speed of light|The speed of light is about 300,000 kilometers per second.
    the boiling point of water|Water boils at 100 degrees Celsius.
    the freezing point of water|Water freezes at 0 degrees Celsius.
    the [chemical |]formula [of|for] water|The formula of water is H2O.
    the [chemical |]formula [of|for] [table |]salt|The formula of salt is NaCl.
    the value of pi|Pi is about 3.14159.
    the number pi|Pi is about 3.14159.
    the square root of 16|The square root of 16 is 4.
    the square root of 9|The square root of 9 is 3.
    the square root of 25|The square root of 25 is 5.
    the square root of 100|The square root of 100 is 10.
    the first letter of the alphabet|The first letter of the alphabet is a.
    the last letter of the alphabet|The last letter of the alphabet is z.
    the first month of the year|The first month is January.
    the last month of the year|The twelfth month is December.
    the shortest month[ of the year|]|The shortest month is February.
    the meaning of life|The meaning of life is 42.
    the answer to life, the universe and everything|The meaning of life is 42.
    the smallest prime number|The smallest prime number is 2.
    the only even prime number|The smallest prime number is 2.
    the hardest natural [material|substance]|The hardest natural material is diamond.
    the [star|sun] [closest|nearest] to the Earth|The star closest to the Earth is the sun.
    """
)
PERSONS = _answered(
    """
    wrote [Romeo and Juliet|Hamlet|Macbeth]|William Shakespeare wrote it.
    painted the Mona Lisa|Leonardo da Vinci painted it.
    was the first [man|person|human] on the moon|Neil Armstrong was the first person on the moon.
    was the first person in space|Yuri Gagarin was the first person in space.
    was the first president of the [US|USA|United States]|The first president was George Washington.
    [developed|came up with] the theory of relativity|Albert Einstein developed it.
    wrote the theory of relativity|Albert Einstein developed it.
    wrote [Faust|the play Faust]|Johann Wolfgang von Goethe wrote it.
    wrote Don Quixote|Miguel de Cervantes wrote it.
    wrote Pride and Prejudice|Jane Austen wrote it.
    [composed|wrote] the Moonlight Sonata|Ludwig van Beethoven composed it.
    [composed|wrote] The Magic Flute|Wolfgang Amadeus Mozart composed it.
    [discovered|described] gravity|Isaac Newton described it.
    reached America in 1492|Christopher Columbus reached it in 1492.
    created Python|Guido van Rossum created Python.
    [created|invented] the Python language|Guido van Rossum created Python.
    created Linux|Linus Torvalds created Linux.
    invented the World Wide Web|Tim Berners-Lee invented it.
    [discovered|found] radium|Marie Curie discovered it with Pierre Curie.
    """
)
WHEN_FRAMES = (
    "When $?",
    "when $",
    "In [which|what] year $?",
    "[What|Which] year $?",
    "[Tell me|Do you know|Can you tell me] when $?",
    "[Quiz|Trivia|History question]: when $?",
    "[And|So] when exactly $?",
    "I forgot [when|in which year] $",
    "My [son|daughter|teacher|friend] asks: when $?",
    "On which date, or in which year, $?",
)
WHENS = _answered(
    """
    is [Christmas|Christmas Day]|Christmas is on December 25.
    is [New Year|New Year's Day]|New Year is on January 1.
    is Halloween|Halloween is on October 31.
    is Valentine's Day|Valentine's Day is on February 14.
    is Christmas Eve|Christmas Eve is on December 24.
    is New Year's Eve|New Year's Eve is on December 31.
    is [April Fools' Day|April Fools]|April Fools' Day is on April 1.
    """
)
WHAT_FRAMES = (
    "What $?",
    "what $",
    "[Tell me|Do you know|Can you tell me] what $?",
    "[Quiz|Trivia|Question]: what $?",
    "[And|So] what $?",
    "I [forgot|wonder|want to know] what $",
    "My [son|daughter|teacher|friend] asks: what $?",
    "[Please answer|Answer this]: what $?",
    "What exactly $?",
    "[Guess|Who knows] what $?",
)
WHATS = _answered(
    """
    do cows eat|Cows eat grass.
    do pandas eat|Pandas eat bamboo.
    do rabbits eat|Rabbits eat grass and leaves.
    do lions eat|Lions eat meat.
    do [babies|calves] drink|They drink milk.
    is ice[ made of|]|Ice is frozen water.
    is steam|Steam is water as a gas.
    is bread made of|Bread is made of flour and water.
    is cheese made [of|from]|Cheese is made of milk.
    is glass made [of|from]|Glass is made of sand.
    is wine made [of|from]|Wine is made of grapes.
    is paper made [of|from]|Paper is made of wood.
    is chocolate made [of|from]|Chocolate is made of cocoa beans.
    do plants need|Plants need light, water and air.
    do [we|people|humans] breathe|People breathe air.
    """
)
CAN_FRAMES = (
    "Can $?",
    "can $",
    "Is it possible: can $?",
    "Is it true: can $?",
    "[Yes or no|Quiz|Question]: can $?",
    "[And|So] can $?",
    "My [son|daughter|teacher|friend] asks: can $?",
    "[Please answer|Answer this]: can $?",
    "[I wonder|I want to know]: can $?",
    "Can $, [yes or no|or not]?",
    "Can $ at all?",
)
CANS = _answered(
    """
    birds fly|Yes, birds can fly.
    penguins fly|No, penguins cannot fly.
    pigs fly|No, pigs cannot fly.
    fish swim|Yes, fish can swim.
    ducks swim|Yes, ducks can swim.
    [dogs|a dog] bark|Yes, dogs can bark.
    [cats|a cat] bark|No, cats cannot bark.
    elephants jump|No, elephants cannot jump.
    bees fly|Yes, bees can fly.
    fish fly|No, most fish cannot fly.
    [cats|a cat] climb trees|Yes, cats can climb trees.
    [humans|people] fly|No, people cannot fly.
    [humans|people] breathe under water|No, people cannot breathe under water.
    snakes walk|No, snakes cannot walk.
    frogs jump|Yes, frogs can jump.
    """
)
FRAMED = (
    (COUNT_FRAMES, COUNTS),
    (VALUE_FRAMES, VALUES),
    (PERSON_FRAMES, PERSONS),
    (WHEN_FRAMES, WHENS),
    (WHAT_FRAMES, WHATS),
    (CAN_FRAMES, CANS),
)
