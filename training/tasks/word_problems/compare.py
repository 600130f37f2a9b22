"""Stories that compare people and their ages, and stories of crowds that change."""

from training.tasks.numbers.arithmetic import difference_key, sum_key, work_difference, work_sum
from training.tasks.problem import Problem
from training.tasks.word_problems.cast import actor, number_shown, small, thing
from training.tasks.word_problems.sums import story_slots, told
from training.wordings import Draw

HOW_MANY_MORE = (
    "{A} {has} {xs} and {b} has {y}. How many more [{items}|] {does} {the} have than {b}?",
    "{A} {has} {xs}. {B} has {y}. How many more [{items}|] {does} {the} have?",
    "{A} {has} {xs}, {b} has {y}. [How many more {does} {the} have|By how many {is} {the} ahead]?",
    "If {a} {has} {xs} and {b} has {y}, how many more {does} {the} have[ than {b}|]?",
    "How many more {items} {does} {a} have than {b} if {the} {has} {x} and {b} has {y}?",
    "{B} has {ys} and {a} {has} {x}. How many more {items} {does} {the} have[ than {b}|]?",
    "~[Work out|Figure out|Calculate|Find|Tell me] how many more {items} {a} {has} than {b}: "
    "{the} {has} {x} and {b} has {y}.",
    "{A} [collected|picked|found|bought|sold] {xs}, {b} only {y}. How many more {does} {the} have?",
    "{A} {has} {xs} and {b} has {ys}. What is the difference?",
    "[Word problem|Math problem|Story problem]: {A} {has} {xs}, {b} has {y}. How many more "
    "{items} {does} {the} have?",
    "By how many {items} {does} {a} beat {b} if {the} {has} {x} and {b} has {y}?",
    "{tag}: {xs}. {B}: {ys}. How many more {does} {the} have?",
    "With {xs}, how many more {does} {a} have than {b}, who has {y}?",
    "Compared to {b}, who has {ys}, how many more {does} {a} have with {x}?",
)
HOW_MANY_FEWER = (
    "{A} {has} {xs} and {b} only has {y}. How many [less|fewer] is that?",
    "How many [less|fewer] does {b} have with {ys}, when {a} {has} {x}?",
    "With {ys}, how many fewer does {b} have than {a} with {x}?",
    "{A} {has} {xs} and {b} has {y}. How many fewer [{items}|] does {b} have than {the}?",
    "{A} {has} {xs}. {B} has {y}. How many [fewer|less] [{items}|] does {b} have?",
    "If {a} {has} {xs} and {b} has {y}, how many [fewer|less] does {b} have[ than {the}|]?",
    "How many fewer {items} does {b} have than {a} if {the} {has} {x} and {b} has {y}?",
    "{B} has {ys} and {a} {has} {x}. How many fewer {items} does {b} have[ than {the}|]?",
    "~[Work out|Figure out|Calculate|Find] how many fewer {items} {b} has than {a}: {the} {has} "
    "{x} and {b} has {y}.",
    "{A} [collected|picked|found|bought] {xs}, {b} {y}. How many [fewer|less] does {b} have?",
    "[Word problem|Story problem]: {A} {has} {xs}, {b} has {y}. How many fewer does {b} have?",
    "{tag}: {xs}. {B}: {ys}. How many fewer does {b} have?",
    "By how many {items} is {b} behind {a}? {The} {has} {x}, {b} has {y}.",
)
WHO_HAS_MORE = (
    "Between {a} and {b}, who has more {items}? {The} {has} {x} and {b} has {y}.",
    "{A} [counted|won] {xs}. {B} [counted|won] {y}. Who has more?",
    "{A} {has} {xs}, {b} has {y}. Who has more?",
    "{A} {has} {xs} and {b} has {y}. Who has more[ {items}|]?",
    "{A} {has} {xs}. {B} has {y}. Who has [more|the most][ {items}|]?",
    "Who has more {items}, {a} with {x} or {b} with {y}?",
    "If {a} {has} {xs} and {b} has {y}, who has more?",
    "{tag}: {xs}. {B}: {ys}. Who has more?",
    "{A} [collected|found|picked] {xs}, {b} [collected|found|picked] {y}. Who [wins|has more]?",
    "~[Tell me|Say|Find out] who has more {items}: {a} {has} {x}, {b} has {y}.",
    "{A} {has} {xs}, {b} has {y}. Which of them has more?",
    "[Who of {a} and {b}] has more {items}? {The} {has} {x} and {b} {y}.",
    "Who has the bigger number of {items}? {A} {has} {x}. {B} has {y}.",
)
MORE_THAN = (
    "{B} has {xs}, which is {y} fewer than {a} {has}. How many {does} {the} have?",
    "{B} has {xs}. That is {y} fewer than {a}. How many {does} {the} have?",
    "{A} {is} {y} {items} ahead of {b}, who has {x}. How many {does} {the} have?",
    "{B} has {xs}. {A} {has} {y} more [{items}|] than {b}. How many [{items}|] {does} {the} have?",
    "{A} {has} {y} more {items} than {b}. {B} has {x}. How many {does} {the} have?",
    "{B} has {xs} and {a} {has} {y} more. How many [{items}|] {does} {the} have?",
    "If {b} has {xs} and {a} {has} {y} more than that, how many {does} {the} have?",
    "How many {items} {does} {a} have if {b} has {x} and {the} {has} {y} more?",
    "~[Work out|Figure out|Find] how many {items} {a} {has}: {y} more than {b}, who has {x}.",
    "{B} [picked|found|bought] {xs}. {A} {has} {y} more than {b}. How many is that?",
    "[Word problem|Story problem]: {B} has {xs}. {A} {has} {y} more than {b}. How many {does} "
    "{the} have?",
    "{A} {has} [{y}|{ys}] more than {b}, and {b} has {x}. How many {items} {does} {the} have?",
    "{B} has {xs}. {A} {has} {y} more. [{The} {has} how many?|How many for {the}?]",
)
FEWER_THAN = (
    "{B} has {xs}, which is {y} more than {a} {has}. How many {does} {the} have?",
    "{B} has {xs}. That is {y} more than {a}. How many {does} {the} have?",
    "{A} {is} {y} {items} behind {b}, who has {x}. How many {does} {the} have?",
    "{B} has {xs}. {A} {has} {y} [fewer|less] than {b}. How many [{items}|] {does} {the} have?",
    "{A} {has} {y} fewer {items} than {b}. {B} has {x}. How many {does} {the} have?",
    "{B} has {xs} and {a} {has} {y} [fewer|less]. How many [{items}|] {does} {the} have?",
    "If {b} has {xs} and {a} {has} {y} [less|fewer] than that, how many {does} {the} have?",
    "How many {items} {does} {a} have if {b} has {x} and {the} {has} {y} [fewer|less]?",
    "~[Work out|Figure out|Find] how many {items} {a} {has}: {y} fewer than {b}, who has {x}.",
    "{B} [picked|found|bought] {xs}. {A} {has} {y} [less|fewer] than {b}. How many is that?",
    "[Word problem|Story problem]: {B} has {xs}. {A} {has} {y} fewer than {b}. How many {does} "
    "{the} have?",
    "{A} {has} [{y}|{ys}] less than {b}, and {b} has {x}. How many {items} {does} {the} have?",
    "{B} has {xs}. {A} {has} {y} [less|fewer]. How many for {the}?",
)
NEEDED = (
    "{A} {has} {ys} and need{s} {x}. How many more [{items}|] {does} {she} need?",
    "{A} need{s} {xs}. {She} already {has} {y}. How many more [{items}|] {does} {she} need?",
    "{A} {has} {ys} but want{s} {x}. How many [more|] [{does} {she} need|are missing]?",
    "If {a} need{s} {xs} and {has} {y}, how many [are missing|more {does} {she} need]?",
    "How many more {items} {does} {a} need to have {x} if {she} {has} {y}?",
    "{A} {has} {y} of {xs}. How many [are missing|more {does} {she} need]?",
    "~[Work out|Figure out|Find] how many more {items} {a} need{s} to get from {y} to {x}.",
    "{A} want{s} to collect {xs}. So far {she} {has} {y}. How many [are missing|more {does} "
    "{she} need]?",
    "{Her} goal is {xs}. {The} {has} {y}. How many more {does} {she} need?",
    "[Word problem|Story problem]: {A} need{s} {xs} and {has} {y}. How many more {does} {she} "
    "need?",
    "{A} {has} {ys}. How many more must {she} [get|buy|find] to have {x}?",
    "A full [box|album|set] has {xs}. {A} {has} {y}. How many {does} {she} still need?",
    "{A} need{s} {x} {items} in total and already [bought|found|got] {y}. How many are missing?",
)
OLDER_LATER = (
    "{A} {is} {x}[ years old|]. How old will {she} be in {y} years?",
    "{A} {is} {x} years old [now|today]. How old will {she} be {y} years from now?",
    "If {a} {is} {x}[ years old| now|], how old will {she} be in {y} years?",
    "How old will {a} be in {y} years if {she} {is} {x}[ now| today|]?",
    "In {y} years, how old will {a} be if {she} {is} {x} [now|today|years old]?",
    "{A} {is} {x}. [What will {her} age be|What age will {she} be] in {y} years?",
    "~[Work out|Calculate|Tell me] how old {a} will be in {y} years[ if| when| given that] {she} "
    "{is} {x} now.",
    "{A} turned {x} [today|this year]. How old will {she} be in {y} years?",
    "{Her} age is {x}. How old will {a} be {y} years later?",
    "{A}, [aged|age|now] {x}: how old in {y} years?",
    "{A} {is} {x} years old. After {y} years [pass|have passed], how old will {she} be?",
    "[Age problem|Word problem]: {A} {is} {x}. How old {is} {she} in {y} years?",
)
OLDER_BEFORE = (
    "What age {was} {a} {y} years ago, if {she} {is} {x} [now|today]?",
    "{A} {is} {x}. Go back {y} years. How old {was} {she} then?",
    "{A} {is} {x} years old. How old {was} {she} {y} years earlier?",
    "{A} {is} {x}[ years old|]. How old {was} {she} {y} years ago?",
    "How old {was} {a} {y} years ago if {she} {is} {x} now?",
    "If {a} {is} {x}[ now| years old| today|], how old {was} {she} {y} years ago?",
    "{A} {is} {x} years old [now|today]. What was {her} age {y} years ago?",
    "{y} years ago, how old {was} {a} if {she} {is} {x} [now|today]?",
    "~[Work out|Calculate|Tell me] how old {a} {was} {y} years ago[ if| when] {she} {is} {x} now.",
    "{A} turned {x} [today|this year]. How old {was} {she} {y} years ago?",
    "[Age problem|Word problem]: {A} {is} {x}. How old {was} {she} {y} years ago?",
    "{Her} age is {x}. How old {was} {a} {y} years [ago|earlier|before]?",
    "{A}, [aged|age|now] {x}: how old {y} years ago?",
)
OLDER_THAN = (
    "{B} is {y} years younger than {a}. {B} is {x}. How old {is} {the}?",
    "{B} is {x}. That is {y} years younger than {a}. How old {is} {the}?",
    "With {b} at {x} and {a} {y} years older, how old {is} {the}?",
    "{B} is {x}[ years old|]. {A} {is} {y} years older[ than {b}|]. How old {is} {the}?",
    "{A} {is} {y} years older than {b}. {B} is {x}. How old {is} {the}?",
    "If {b} is {x} and {a} {is} {y} years older, how old {is} {the}?",
    "How old {is} {a} if {b} is {x} and {the} {is} {y} years older?",
    "{B} is {x} and {a} {is} {y} years older. What is {her} age?",
    "~[Work out|Calculate|Find] {her} age: {b} is {x} and {a} {is} {y} years older.",
    "[Age problem|Word problem]: {B} is {x}, {a} {is} {y} years older. How old {is} {the}?",
    "{A} {was} born {y} years before {b}. {B} is {x} [now|years old]. How old {is} {the}?",
    "{B}'s age is {x}. {A} {is} older by {y} years. How old {is} {the}?",
    "{A} {is} older than {b} by {y} years, and {b} is {x}. How old {is} {the}?",
)
YOUNGER_THAN = (
    "{B} is {y} years older than {a}. {B} is {x}. How old {is} {the}?",
    "{B} is {x}. That is {y} years older than {a}. How old {is} {the}?",
    "With {b} at {x} and {a} {y} years younger, how old {is} {the}?",
    "{B} is {x}[ years old|]. {A} {is} {y} years younger[ than {b}|]. How old {is} {the}?",
    "{A} {is} {y} years younger than {b}. {B} is {x}. How old {is} {the}?",
    "If {b} is {x} and {a} {is} {y} years younger, how old {is} {the}?",
    "How old {is} {a} if {b} is {x} and {the} {is} {y} years younger?",
    "{B} is {x} and {a} {is} {y} years younger. How old {is} {the}?",
    "~[Work out|Calculate|Find] {her} age: {b} is {x} and {a} {is} {y} years younger.",
    "[Age problem|Word problem]: {B} is {x}, {a} {is} {y} years younger. How old {is} {the}?",
    "{A} {was} born {y} years after {b}. {B} is {x} [now|years old]. How old {is} {the}?",
    "{B}'s age is {x}. {A} {is} younger by {y} years. How old {is} {the}?",
    "{A} {is} younger than {b} by {y} years, and {b} is {x}. How old {is} {the}?",
)
AGE_GAP = (
    "How big is the age difference if {a} {is} {x} and {b} is {y}?",
    "{A} {is} {x}. {B} is {y}. By how many years {is} {the} older?",
    "{tag}: {x} years. {B}: {y} years. How much older {is} {the}?",
    "{A} {is} {x} and {b} is {y}. How [many years|much] older {is} {the}[ than {b}|]?",
    "{A} {is} {x} years old. {B} is {y}. How much older {is} {the}?",
    "How many years older {is} {a} than {b} if {the} {is} {x} and {b} is {y}?",
    "If {a} {is} {x} and {b} is {y}, how [much|many years] older {is} {the}?",
    "{B} is {y} and {a} {is} {x}. By how many years {is} {the} older?",
    "~[Work out|Find|Tell me] how many years older {a} {is}: {the} {is} {x}, {b} is {y}.",
    "{A} {is} {x}, {b} {y}. What is the age difference?",
    "What is the age difference between {a} ({x}) and {b} ({y})?",
    "[Age problem|Word problem]: {A} {is} {x}, {b} is {y}. How much older {is} {the}?",
    "The ages of {me} and {b} are {x} and {y}. How many years older {is} {a}?",
)
BORN = (
    "{A} {was} born in {y}. How old {is} {she} in {x}?",
    "If {a} {was} born in {y}, how old {is} {she} in {x}?",
    "How old {is} {a} in {x} if {she} {was} born in {y}?",
    "{A} {was} born in {y}. What is {her} age in {x}?",
    "Born in {y}, how old {is} {a} in {x}?",
    "{A}, born {y}. [Age|How old] in {x}?",
    "How old will {a} be in {x} if {she} {was} born in {y}?",
    "{A} {was} born in {y}. How old will {she} be in {x}?",
    "If {a} {was} born in {y}, [what age|how old] will {she} be in {x}?",
    "It is {x}. {A} {was} born in {y}. How old {is} {she}?",
    "~[Work out|Calculate|Tell me] {her} age in {x}: {a} {was} born in {y}.",
    "[Someone|Somebody] asks for {her} age in {x}. {A} {was} born in {y}. How old {is} {she}?",
    "The year is {x} and {a} {was} born in {y}. How old {is} {she}?",
)
# Things, where they are, how some leave, how some come.
SCENES = (
    "bird:birds/on a tree/fly away:flew away/come:came",
    "bird:birds/on a wire/fly off:flew off/land:landed",
    "child:children/in a classroom/go home:went home/come in:came in",
    "kid:kids/in the park/go home:went home/join them:joined them",
    "person:people/on a bus/get off:got off/get on:got on",
    "passenger:passengers/on a train/get off:got off/get on:got on",
    "car:cars/in a parking lot/leave:left/arrive:arrived",
    "duck:ducks/on a pond/swim away:swam away/join them:joined them",
    "frog:frogs/on a log/jump off:jumped off/jump on:jumped on",
    "fish:fish/in a tank/die:died/are added:were added",
    "student:students/in a class/leave:left/join:joined",
    "cookie:cookies/in a jar/are eaten:were eaten/are added:were added",
    "apple:apples/in a basket/are eaten:were eaten/are put in:were put in",
    "egg:eggs/in a box/break:broke/are added:were added",
    "book:books/on a shelf/are taken away:were taken away/are added:were added",
    "ball:balls/in a box/are taken out:were taken out/are put in:were put in",
    "sheep:sheep/in a field/run away:ran away/come:came",
    "cow:cows/on a farm/are sold:were sold/are bought:were bought",
    "guest:guests/at a party/leave:left/arrive:arrived",
    "player:players/on a team/quit:quit/join:joined",
    "cat:cats/in a house/leave:left/come in:came in",
    "monkey:monkeys/in a tree/jump down:jumped down/climb up:climbed up",
    "flower:flowers/in a vase/are taken out:were taken out/are added:were added",
    "bee:bees/on a flower/fly away:flew away/arrive:arrived",
)
CROWDS = (
    "There are {xs} {on}. {y} {more} {go}. How many [{items}|] are {still}?",
    "There were {xs} {on}. {y} {more} {went}. How many [{items}|] are {still}?",
    "If there are {xs} {on} and {y} {more} {go}, how many [{items}|] are {still}?",
    "{x} {items} are {on}. {y} {more} {go}. How many [{items}|] are {still}?",
    "How many {items} are {still} if there were {x} {on} and {y} {more} {went}?",
    "~[Work out|Figure out|Calculate|Find] how many {items} are {still}: there were {x} {on} and "
    "{y} {more} {went}.",
    "[I see|We see|I count] {xs} {on}. {y} {more} {go}. How many are {still}?",
    "{xs} {on}, {y} {more} {go}. [How many are {still}|How many now]?",
    "[Word problem|Riddle|Math problem]: There are {xs} {on} and {y} {more} {go}. How many are "
    "{still}?",
    "{x} {items} were {on}. Then {y} {more} {went}. How many [{items}|] are {still}?",
    "First there were {xs} {on}, then {y} {more} {went}. How many are {still}?",
    "[This morning|Yesterday|At first] there were {xs} {on}. [Later|Then] {y} {more} {went}. How "
    "many are {still}?",
)


def _ordered(draw: Draw) -> tuple[int, int]:
    """Two different small numbers, the larger first."""
    x = small(draw, 3)
    return x, draw.rng.randint(1, x - 1)


def compare(draw: Draw) -> Problem:
    """Say how many more or fewer one has than another, or who has more."""
    one, noun, (x, y) = actor(draw), thing(draw), _ordered(draw)
    slots = story_slots(draw, one, noun, x, y)
    keys, work = [difference_key(x, y)], work_difference(x, y)
    if draw.chance(0.15):
        rival = _told(slots["B"])
        if draw.chance(0.5):
            numbers = {"x": slots["y"], "xs": slots["y"] + f" {noun.of(y)}", "y": slots["x"]}
            slots |= {**numbers, "ys": slots["xs"]}
            reference = f"{rival} has more {noun.many}."
        else:
            reference = f"{one.has()} more {noun.many}."
        request = draw.say(WHO_HAS_MORE, **slots)
        return told(f"who:{x}:{y}", [], request, f"{x} is more than {y}", reference)
    rival = _told(slots["b"])
    more = noun.of(x - y)
    if draw.chance(0.6):
        request = draw.say(HOW_MANY_MORE, **slots)
        reference = f"{one.has()} {x - y} more {more} than {rival}."
    else:
        request = draw.say(HOW_MANY_FEWER, **slots)
        rival = _told(slots["B"])
        than = "you" if one.told == "You" else _told(slots["the"])
        reference = f"{rival} has {x - y} fewer {more} than {than}."
    return told(f"more:{x}:{y}", keys, request, work, reference)


def _told(text: str) -> str:
    """A person that the asker named, in the answer: `my sister` is `your sister`."""
    return text.replace("my ", "your ").replace("My ", "Your ")


def related_amount(draw: Draw) -> Problem:
    """One has some more, or fewer, than another."""
    one, noun, (x, y) = actor(draw), thing(draw), _ordered(draw)
    slots = story_slots(draw, one, noun, x, y)
    if draw.chance(0.6):
        request, result, work = draw.say(MORE_THAN, **slots), x + y, work_sum(x, y)
        kind, keys = f"more_than:{x}:{y}", [sum_key(x, y)]
    else:
        request, result, work = draw.say(FEWER_THAN, **slots), x - y, work_difference(x, y)
        kind, keys = f"fewer_than:{x}:{y}", [difference_key(x, y)]
    return told(kind, keys, request, work, f"{one.has()} {noun.count(result)}.")


def needed(draw: Draw) -> Problem:
    """Say how many are missing."""
    one, noun, (x, y) = actor(draw), thing(draw), _ordered(draw)
    request = draw.say(NEEDED, **story_slots(draw, one, noun, x, y))
    missing = f"{x - y} more {noun.of(x - y)}"
    keys, work = [difference_key(x, y)], work_difference(x, y)
    return told(f"needed:{x}:{y}", keys, request, work, f"{one.verb('need')} {missing}.")


def age(draw: Draw) -> Problem:
    """Reckon with ages in years."""
    one = actor(draw)
    x = draw.rng.randint(3, draw.pick((12, 20, 40, 80)))
    y = draw.rng.randint(1, min(x - 1, draw.pick((5, 10, 30))))
    slots = story_slots(draw, one, thing(draw), x, y)
    if slots["y"] in ("1", "one"):
        y, slots["y"] = 2, "2"
    be = slots["is"] if one.told != "You" else "are"
    was = slots["was"] if one.told != "You" else "were"
    differ, add = [difference_key(x, y)], [sum_key(x, y)]
    taken, added = work_difference(x, y), work_sum(x, y)
    more, less = f"{x + y} years old.", f"{x - y} year{'s' if x - y > 1 else ''} old."
    match draw.pick(("later", "later", "before", "older", "younger", "gap", "born")):
        case "later":
            request, reference = draw.say(OLDER_LATER, **slots), f"{one.told} will be {more}"
            return told(f"later:{x}:{y}", add, request, added, reference)
        case "before":
            request, reference = draw.say(OLDER_BEFORE, **slots), f"{one.told} {was} {less}"
            return told(f"before:{x}:{y}", differ, request, taken, reference)
        case "older":
            request, reference = draw.say(OLDER_THAN, **slots), f"{one.told} {be} {more}"
            return told(f"older:{x}:{y}", add, request, added, reference)
        case "younger":
            request, reference = draw.say(YOUNGER_THAN, **slots), f"{one.told} {be} {less}"
            return told(f"younger:{x}:{y}", differ, request, taken, reference)
        case "gap":
            request = draw.say(AGE_GAP, **slots)
            years = f"{x - y} year{'s' if x - y > 1 else ''}"
            return told(f"gap:{x}:{y}", differ, request, taken, f"{one.told} {be} {years} older.")
    born = draw.rng.randint(1950, 2018)
    year = draw.rng.randint(max(2000, born + 2), 2030)
    request = draw.say(BORN, **{**slots, "x": year, "y": born})
    reference = f"{one.told} {be} {year - born} years old."
    keys, work = [difference_key(year, born)], work_difference(year, born)
    return told(f"born:{year}:{born}", keys, request, work, reference)


def crowd(draw: Draw) -> Problem:
    """Some leave, or some more come."""
    noun_shown, on, leave, come = draw.slot(SCENES).split("/")
    noun, (x, y) = thing(draw, [noun_shown] * 1), _ordered(draw)
    leaving = draw.chance(0.65)
    go, went = (leave if leaving else come).split(":")
    y = y if leaving or draw.chance(0.5) else small(draw)
    go, went = _singular(go, y), _singular(went, y)
    still = "left" if leaving else "there now"
    shown_x, shown_y = number_shown(draw, x, y)
    slots = {**noun.slots(), "x": shown_x, "xs": f"{shown_x} {noun.of(x)}", "y": shown_y}
    slots |= {"on": on, "go": go, "went": went, "still": still}
    request = draw.say(CROWDS, more="" if leaving else "more", **slots).replace("  ", " ")
    result = x - y if leaving else x + y
    work = work_difference(x, y) if leaving else work_sum(x, y)
    keys = [difference_key(x, y) if leaving else sum_key(x, y)]
    end = " left." if leaving else "."
    reference = f"There {'is' if result == 1 else 'are'} {noun.count(result)}{end}"
    return told(f"crowd:{x}:{-y if leaving else y}", keys, request, work, reference)


def _singular(verb: str, number: int) -> str:
    """A plural verb, in the form that fits the number."""
    if number > 1:
        return verb
    first, _, rest = verb.partition(" ")
    special = {"are": "is", "were": "was", "go": "goes"}
    is_past = first in PAST
    return " ".join(filter(None, (special.get(first) or first + ("" if is_past else "s"), rest)))


PAST = {scene.split(":")[i].split("/")[0].split(" ")[0] for scene in SCENES for i in (2, 3)}
