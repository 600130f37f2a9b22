"""Stories of speed, distance and time, and of rectangles."""

from training.tasks.numbers.arithmetic import (
    product_key,
    quotient_key,
    sum_key,
    work_product,
    work_quotient,
    work_sum,
)
from training.tasks.problem import Problem
from training.tasks.word_problems.cast import number_shown
from training.tasks.word_problems.sums import told
from training.wordings import Draw

DISTANCES = (
    "{A} [travels|goes|moves] {v} for {t}. How far does it [go|travel|get]?",
    "{A} [travels|goes|moves] at {v}. How far does it [go|get|travel] in {t}?",
    "{A} [travels|goes] at {v} for {t}. [What distance does it cover|What is the distance|How "
    "far is that|How many {units} is that]?",
    "If {a} [travels|goes|moves] at {v}, how far does it [go|get|travel] in {t}?",
    "If {a} [travels|goes] {s} in one {hour}, how far does it go in {t}?",
    "{A} [travels|goes|covers] {s} [in one|every|each] {hour}. How far does it [go|get] in {t}?",
    "How far does {a} [travel|go|get|move] in {t} at {v}?",
    "How far does {a} go in {t} if its speed is {v}?",
    "How many {units} does {a} [travel|go] in {t} at {v}?",
    "The speed of {a} is {v}. How far does it [get|go] in {t}?",
    "~[Calculate|Work out|Find|Compute] the distance: [speed |]{v}, [time |]{t}.",
    "[What is|What's] the distance [covered |travelled |traveled |]in {t} at {v}?",
    "[Speed|speed]: {v}. [Time|time]: {t}. [Distance?|What is the distance?]",
    "{v} for {t} is how far?",
    "I [drive|ride|travel] at {v} for {t}. How far do I [get|go|travel]?",
    "At {v}, how far [will I get|can you go|do you get] in {t}?",
    "[Word problem|Math problem|Physics]: {a} moves at {v} for {t}. What is the distance?",
)
TIMES = (
    "{d} at {v}: how long does it take?",
    "How much time does {a} need for {d} at {v}?",
    "{A} [travels|goes|moves] at {v}. How long does it take [to go|to travel|for] {d}?",
    "How long does {a} [need|take] for {d} at {v}?",
    "How [long|many {hours}] does it take to [travel|go|move] {d} at {v}?",
    "If {a} [travels|goes] at {v}, how long does it take to go {d}?",
    "{A} has to go {d} at {v}. How long does it take?",
    "The speed of {a} is {v}. How long does it [need|take] for {d}?",
    "~[Calculate|Work out|Find] the time: [distance |]{d}, [speed |]{v}.",
    "[Distance|distance]: {d}. [Speed|speed]: {v}. [Time?|How long does it take?]",
    "I [drive|ride|travel] {d} at {v}. How long does it take?",
    "At {v}, how long does a trip of {d} take?",
    "[Word problem|Math problem|Physics]: {a} goes {d} at {v}. How long does it take?",
)
SPEEDS = (
    "How fast is {a} that needs {t} for {d}?",
    "[Average speed|Speed] for {d} in {t}[?|]",
    "{A} needs {t} for {d}. What is its speed?",
    "{A} [travels|goes|covers|moves] {d} in {t}. [What is its speed|How fast is it|What is the "
    "speed|What is the average speed]?",
    "How fast does {a} go if it [travels|covers|goes] {d} in {t}?",
    "If {a} [covers|travels|goes] {d} in {t}, [what is its speed|how fast is it]?",
    "[What is|What's] the [speed|average speed] of {a} that goes {d} in {t}?",
    "~[Calculate|Work out|Find] the speed: [distance |]{d}, [time |]{t}.",
    "[Distance|distance]: {d}. [Time|time]: {t}. [Speed?|What is the speed?]",
    "{d} in {t}. [What is the speed|How fast is that|Speed]?",
    "I [drive|ride|travel] {d} in {t}. [How fast am I|What is my speed|How fast is that]?",
    "It takes {a} {t} to go {d}. What is the speed?",
    "[Word problem|Math problem|Physics]: {a} goes {d} in {t}. What is its speed?",
)
AREAS = (
    "[What is|What's] the area of a rectangle [of {x} by {y}|that is {x} by {y}|with sides {x} "
    "and {y}]?",
    "A rectangle is {x} long and {y} wide. What is [its|the] area?",
    "A [room|garden|field|rug|wall] is {x} long and {y} wide. What is [its|the] area?",
    "[Area|The area] of a {x} [by|x] {y} rectangle[?|]",
    "~[Find|Calculate|Work out|Compute] the area of a rectangle with [sides {x} and {y}|length "
    "{x} and width {y}].",
    "A rectangle has [sides of {x} and {y}|a length of {x} and a width of {y}]. [What is its "
    "area|Find the area|What is the area]?",
    "How [big|large] is the area of a {x} by {y} [rectangle|room|garden]?",
    "rectangle {x} [by|x] {y} area",
    "[If|When] a rectangle is {x} by {y}, what is the area?",
    "length {x}, width {y}[, area?|. What is the area?]",
    "My [room|garden|yard] is {x} by {y}. What is its area?",
    "[Geometry|Math problem]: sides {x} and {y}, area of the rectangle?",
)
PERIMETERS = (
    "How far is it around a rectangle of {x} by {y}?",
    "My [garden|yard|field] is {x} by {y}. What is its perimeter?",
    "[What is|What's] the perimeter of a rectangle [of {x} by {y}|that is {x} by {y}|with sides "
    "{x} and {y}]?",
    "A rectangle is {x} long and {y} wide. What is [its|the] perimeter?",
    "A [room|garden|field|park] is {x} long and {y} wide. What is [its|the] perimeter?",
    "[Perimeter|The perimeter] of a {x} [by|x] {y} rectangle[?|]",
    "~[Find|Calculate|Work out|Compute] the perimeter of a rectangle with [sides {x} and "
    "{y}|length {x} and width {y}].",
    "A rectangle has [sides of {x} and {y}|a length of {x} and a width of {y}]. [What is its "
    "perimeter|Find the perimeter]?",
    "How [big|long] is the perimeter of a {x} by {y} [rectangle|room|garden]?",
    "rectangle {x} [by|x] {y} perimeter",
    "length {x}, width {y}[, perimeter?|. What is the perimeter?]",
    "How much fence do I need around a {x} by {y} [garden|field|yard]?",
    "[Geometry|Math problem]: sides {x} and {y}, perimeter of the rectangle?",
)
SQUARES = (
    "A square [room|garden|field|table] has sides of {x}. What is its {measure}?",
    "{measure} of a {x} square[?|]",
    "My square has a side of {x}. What is the {measure}?",
    "[What is|What's] the {measure} of a square [with side {x}|with sides of {x}|of side {x}]?",
    "A square has [a side of {x}|sides of {x}]. What is [its|the] {measure}?",
    "[The|] {measure} of a square with side {x}[?|]",
    "~[Find|Calculate|Work out|Compute] the {measure} of a square with side [length |]{x}.",
    "The side of a square is {x}. What is [its|the] {measure}?",
    "square side {x} {measure}",
    "[If|When] a square has sides of {x}, what is the {measure}?",
    "One side of a square is {x}. [Find|Calculate|Tell me] the {measure}.",
    "How [big|large] is the {measure} of a square of side {x}?",
    "[Geometry|Math problem]: square with side {x}, {measure}?",
)
# Movers, and their speeds in units an hour (or a second).
MOVERS = (
    *("car", "bus", "train", "truck", "bike", "boat", "ship", "motorcycle", "van", "horse", "taxi"),
    *("cyclist", "runner", "plane", "scooter", "ferry", "tram", "drone"),
)
SPEED_UNITS = (
    # A distance, a time, and ways to write the speed; the first of each is in answers.
    (("km", "kilometers", "kilometres"), "hour", ("km per hour", "km/h", "kilometers per hour")),
    (("km", "kilometers"), "hour", ("km per hour", "km/h", "kph", "km an hour")),
    (("miles",), "hour", ("miles per hour", "mph", "miles an hour")),
    (("m", "meters", "metres"), "second", ("m per second", "m/s", "meters per second")),
    (("m", "meters"), "minute", ("m per minute", "meters per minute", "m a minute")),
)
LENGTHS = {
    "": "",
    "m": "meters",
    "cm": "centimeters",
    "meters": "meters",
    "feet": "feet",
    "ft": "feet",
}


def motion(draw: Draw) -> Problem:
    """Distance, time or speed of something that moves evenly."""
    distances, time, speeds = draw.pick(SPEED_UNITS)
    hours = draw.rng.randint(2, 9)
    speed = draw.pick((draw.rng.randint(2, 12), 10 * draw.rng.randint(1, 12), draw.pick((15, 25))))
    distance = hours * speed
    mover = draw.slot(MOVERS)
    slots = {"a": f"a {mover}", "A": f"A {mover}"}
    unit = draw.pick(distances)
    (shown,) = number_shown(draw, hours)
    abbreviated = "h" if time == "hour" and draw.chance(0.1) else f"{time}s"
    slots |= {"t": f"{shown} {abbreviated}", "v": f"{speed} {draw.pick(speeds)}"}
    slots |= {"d": f"{distance} {unit}", "units": unit, "hours": f"{time}s"}
    slots |= {"s": f"{speed} {unit}", "hour": time}
    match draw.pick(("distance", "distance", "time", "speed")):
        case "distance":
            request, work = draw.say(DISTANCES, **slots), work_product(speed, hours)
            reference = f"The distance is {distance} {distances[0]}."
            names = [product_key(speed, hours)]
            return told(f"distance:{speed}:{hours}", names, request, work, reference)
        case "time":
            request, work = draw.say(TIMES, **slots), work_quotient(distance, speed)
            names = [quotient_key(distance, speed)]
            reference = f"It takes {hours} {time}s."
            return told(f"time:{distance}:{speed}", names, request, work, reference)
    request, work = draw.say(SPEEDS, **slots), work_quotient(distance, hours)
    names = [quotient_key(distance, hours)]
    reference = f"The speed is {speed} {speeds[0]}."
    return told(f"speed:{distance}:{hours}", names, request, work, reference)


def rectangle(draw: Draw) -> Problem:
    """Area or perimeter of a rectangle or a square."""
    x, y = draw.rng.randint(2, draw.pick((10, 10, 12, 30))), draw.rng.randint(2, 9)
    is_square, is_area = draw.chance(0.25), draw.chance(0.6)
    unit = draw.pick(("", "", "", *LENGTHS))
    of_unit = f" {LENGTHS[unit]}" if unit else ""
    shown = [f"{value} {unit}".strip() for value in (x, y)]
    slots = {"x": shown[0], "y": shown[1], "measure": "area"}
    if is_square:
        x = min(x, 12)
        slots |= {"x": f"{x} {unit}".strip(), "measure": "area" if is_area else "perimeter"}
        request = draw.say(SQUARES, **slots)
        y = x if is_area else 4
        work, keys = work_product(x, y), [product_key(x, y)]
        kind = f"{slots['measure']}_of_square:{x}"
    elif is_area:
        request, work, keys = draw.say(AREAS, **slots), work_product(x, y), [product_key(x, y)]
        kind = f"area:{x}:{y}"
    else:
        half, request = x + y, draw.say(PERIMETERS, **slots)
        work = f"{work_sum(x, y)}. {work_product(2, half)}"
        keys, kind = [sum_key(x, y), product_key(2, half)], f"perimeter:{x}:{y}"
    if is_area:
        square = " square" if unit else ""
        return told(kind, keys, request, work, f"The area is {x * y}{square}{of_unit}.")
    length = x * y if is_square else 2 * (x + y)
    return told(kind, keys, request, work, f"The perimeter is {length}{of_unit}.")
