"""Times of day: some hours or minutes later or earlier, and how long it is between two times."""

from dataclasses import dataclass

from training.tasks.numbers.arithmetic import difference_key, sum_key, work_difference, work_sum
from training.tasks.numbers.numerals import number_in_words
from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.word_problems.cast import number_shown
from training.wordings import Draw

LATER = (
    "[What time is it|What is the time|What time will it be] {d} after {t}?",
    "[It is|It's] {t}. [What time will it be|What time is it] in {d}?",
    "[It is|It's] {t}[ now|]. What time will it be {d} [later|from now]?",
    "If it is {t}, what time [is it|will it be] in {d}?",
    "If it is {t} now, what time will it be {d} [later|from now]?",
    "{t} [plus|+] {d}[?| is what time?| = ?]",
    "{d} after {t}[?| is what time?]",
    "{d} [later than|past] {t}: what time is it?",
    "~[Add|Add] {d} to {t}.",
    "~[Work out|Calculate|Find|Tell me] the time {d} after {t}.",
    "What time is it {d} [later than|from] {t}?",
    "A [film|movie|class|meeting|game|lesson] starts at {t} and [lasts|takes] {d}. When does it "
    "end?",
    "A [film|movie|class|meeting|game|lesson|train ride] starts at {t} and [lasts|takes] {d}. "
    "[What time does it end|When is it over|What time is it over]?",
    "When does a [film|meeting|class] end that starts at {t} and lasts {d}?",
    "The [train|bus|plane] leaves at {t} and [needs|takes] {d}. When does it arrive?",
    "I [start|leave|begin] at {t} and need {d}. When am I [done|finished|there]?",
    "[What's|What is] {t} plus {d}?",
    "The clock shows {t}. What will it show in {d}?",
    "I sleep at {t} for {d}. When do I wake up?",
    "At {t} I wait {d}. What time is it then?",
)
EARLIER = (
    "[What time is it|What is the time|What time was it] {d} before {t}?",
    "[It is|It's] {t}. What time was it {d} ago?",
    "[It is|It's] {t}[ now|]. What time was it {d} [ago|earlier|before]?",
    "If it is {t}, what time was it {d} ago?",
    "If it is {t} now, what time was it {d} [ago|earlier]?",
    "{t} [minus|-] {d}[?| is what time?| = ?]",
    "{d} before {t}[?| is what time?]",
    "{d} earlier than {t}: what time is it?",
    "~[Subtract|Take] {d} from {t}.",
    "~[Work out|Calculate|Find|Tell me] the time {d} before {t}.",
    "A [film|movie|class|meeting|game] ended at {t} and [lasted|took] {d}. When did it start?",
    "I [arrived|finished] at {t} after {d}. When did I [leave|start|begin]?",
    "The clock shows {t}. What did it show {d} ago?",
    "I must be there at {t} and need {d}. When do I have to leave?",
    "[What's|What is] {t} minus {d}?",
    "The [train|bus|plane] arrived at {t} after {d}. When did it leave?",
)
MINUTES_BETWEEN = (
    "How many minutes [are there|is it|are|] [from|between] {t} [to|and] {u}?",
    "How many minutes are there between {t} and {u}?",
    "How many minutes from {t} [to|until|till] {u}?",
    "~[Work out|Calculate|Find|Count|Tell me] the minutes [from {t} to {u}|between {t} and {u}].",
    "[It is|It's] {t}. How many minutes until {u}?",
    "How many minutes until {u} if it is {t}[ now|]?",
    "If it is {t}, how many minutes [are left|remain] until {u}?",
    "[Minutes|Number of minutes] [from {t} to {u}|between {t} and {u}][?|]",
    "A [class|film|meeting|break] [starts|begins] at {t} and ends at {u}. How many minutes [is "
    "it|does it last|does it take]?",
    "From {t} to {u} is how many minutes?",
    "{t} to {u} in minutes[?|]",
    "{t} - {u}: how many minutes[?| is that?]",
    "The [bus|train] leaves at {t} and arrives at {u}. How many minutes does it take?",
    "I waited from {t} to {u}. How many minutes is that?",
    "How many minutes [pass|go by] between {t} and {u}?",
)
LENGTHS = (
    "How long is it from {t} [to|until|till] {u}?",
    "How [long|much time] is [there |]between {t} and {u}?",
    "How much time passes [from {t} to {u}|between {t} and {u}]?",
    "A [film|movie|class|meeting|game|shift] [starts|begins] at {t} and ends at {u}. How long "
    "[is it|does it last|does it take]?",
    "~[Work out|Calculate|Find|Tell me] the time [between {t} and {u}|from {t} to {u}].",
    "[What is|What's] the time [difference |]between {t} and {u}?",
    "[It is|It's] {t}. How long [is it |]until {u}?",
    "How long until {u} if it is {t}[ now|]?",
    "I work from {t} to {u}. How long is that?",
    "[Duration|Length|Time] from {t} to {u}[?|]",
    "The [train|bus|plane] leaves at {t} and arrives at {u}. How long does [it|the trip] take?",
    "{t} to {u}: how long?",
    "If I start at {t} and [stop|finish] at {u}, how long [do I take|is that]?",
    "I slept from {t} until {u}. How long did I sleep?",
)
HOURS_BETWEEN = (
    "How many hours [are there|is it|are|] from {t} to {u}?",
    "How many hours are [there |]between {t} and {u}?",
    "How many hours from {t} [to|until|till] {u}?",
    "~[Work out|Calculate|Find|Count|Tell me] the hours [from {t} to {u}|between {t} and {u}].",
    "[It is|It's] {t}. How many hours until {u}?",
    "How many hours until {u} if it is {t}[ now|]?",
    "[Hours|Number of hours] [from {t} to {u}|between {t} and {u}][?|]",
    "I [work|worked|slept|was there] from {t} to {u}. How many hours is that?",
    "From {t} to {u} is how many hours?",
    "{t} to {u} in hours[?|]",
    "A [shop|store|museum] is open from {t} to {u}. How many hours is [that|it open]?",
    "A shift starts at {t} and ends at {u}. How many hours [is it|does it last]?",
)
SPOKEN_TIMES = (
    "I was told to come at {w}. What is that in [digits|numbers|figures]?",
    "How is {w} written with digits?",
    "[Someone|A friend] says it is {w}. What time [is it|is that] in digits?",
    "[What time is|What's|What is] {w}[ in digits| in numbers| in figures|]?",
    "~[Write|Give|Show] {w} [in digits|in numbers|as digits|in figures|with digits].",
    "~[Convert|Turn|Change] {w} to digits.",
    "{w} in [digits|numbers|figures][?|]",
    "How do [I|you] write {w} in [digits|numbers|figures]?",
    "{w} is what time[ in digits|]?",
    "[It is|It's] {w}. [Write that in digits|What does a digital clock show]?",
    "What does a digital clock show at {w}?",
    "{w} on a digital clock[?|]",
    "{w} = ?",
    "[Digital time|Time in digits] for {w}[?|]",
)
TO_12_HOURS = (
    "My train leaves at {t}. What is that in [am/pm|12-hour time]?",
    "How is {t} written with am or pm?",
    "I have a meeting at {t}. What time is that in am/pm?",
    "[What is|What's] {t} in [12-hour time|12 hour time|the 12-hour format|am/pm|12h format]?",
    "~[Convert|Change|Turn] {t} [to|into] [12-hour time|12 hour time|the 12-hour "
    "format|am/pm|12h format].",
    "{t} in [12-hour time|12 hour format|am/pm][?|]",
    "{t} is what time in [am/pm|the 12-hour clock|12 hour time]?",
    "How do I say {t} in [12-hour time|am and pm]?",
    "~[Write|Express|Give] {t} in [12-hour time|the 12-hour format|am/pm].",
    "What time is {t} [am or pm|with am or pm|on a 12-hour clock]?",
    "[12-hour time|12 hour format|am/pm]: {t}",
    "{t} to [12-hour|12 hour|am/pm][?|]",
    "The clock says {t}. What is that in [am/pm|12-hour time]?",
)
TO_24_HOURS = (
    "My train leaves at {t}. What is that in 24-hour time?",
    "How is {t} written [on a 24-hour clock|in 24-hour format]?",
    "I have a meeting at {t}. What time is that in 24-hour format?",
    "[What is|What's] {t} in [24-hour time|24 hour time|the 24-hour format|military time|24h "
    "format]?",
    "~[Convert|Change|Turn] {t} [to|into] [24-hour time|24 hour time|the 24-hour format|military "
    "time].",
    "{t} in [24-hour time|24 hour format|military time|24h][?|]",
    "{t} is what time [in military time|on the 24-hour clock|in 24 hour time]?",
    "How do I [say|write] {t} in [24-hour time|military time]?",
    "~[Write|Express|Give] {t} in [24-hour time|the 24-hour format|military time].",
    "What time is {t} on a 24-hour clock?",
    "[24-hour time|24 hour format|military time]: {t}",
    "{t} to [24-hour|24 hour|24h|military time][?|]",
    "The clock says {t}. What is that in [24-hour|military] time?",
)
HOUR_MINUTES = 60
ROUND = (0, 0, 0, 15, 30, 45)


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day on a clock of 12 hours (`half` am, pm or neither) or of 24."""

    hour: int
    minute: int
    half: str = ""
    is_24: bool = False

    def text(self) -> str:
        """The time as in answers: `3:05`, `3:05 pm`, `15:05`."""
        return f"{self.hour}:{self.minute:02d}" + (f" {self.half}" if self.half else "")

    def spelled(self, draw: Draw) -> str:
        """The time as people write it."""
        if self.minute == 0 and self.half and draw.chance(0.6):
            text = str(self.hour)
        elif self.minute == 0 and not self.is_24 and not self.half and draw.chance(0.35):
            return f"{self.hour}" + draw.pick((" o'clock", " o'clock", ""))
        else:
            text = f"{self.hour}:{self.minute:02d}"
        if not self.half:
            return text
        dotted = {"am": "a.m.", "pm": "p.m."}[self.half]
        return text + draw.pick(
            (f" {self.half}", f" {self.half}", self.half, f" {self.half.upper()}", f" {dotted}")
        )

    def total(self) -> int:
        """Minutes since midnight, if that is known, or since 12 o'clock."""
        if self.half:
            return (self.hour % 12 + (12 if self.half == "pm" else 0)) * 60 + self.minute
        return self.hour * 60 + self.minute


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _length(minutes: int) -> str:
    """A length of time as in answers."""
    hours, rest = divmod(minutes, 60)
    parts = [_counted(hours, "hour")] if hours else []
    return " ".join(parts + ([_counted(rest, "minute")] if rest or not hours else []))


def _length_spelled(draw: Draw, minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if minutes == 30 and draw.chance(0.3):
        return "half an hour"
    if minutes == 60 and draw.chance(0.4):
        return "an hour"
    if minutes == 90 and draw.chance(0.3):
        return "an hour and a half"
    if not hours:
        (shown,) = number_shown(draw, rest)
        return f"{shown} {draw.pick(('minute', 'minute', 'min'))}{'' if rest == 1 else 's'}"
    (shown,) = number_shown(draw, hours)
    text = f"{shown} hour{'' if hours == 1 else 's'}"
    return text + (f"{draw.pick((' ', ' and '))}{_counted(rest, 'minute')}" if rest else "")


def _solved(key: str, keys: list[str], request: str, work: str, reference: str) -> Problem:
    answer = f"{work}. {reference}" if work else reference
    request = request.replace(".m..", ".m.")
    return Problem("clock", (key, *keys), ask(request), answer, "final", reference)


def _time(draw: Draw) -> Time:
    """A time of day; most are at a quarter or at five minutes."""
    minute = draw.pick((*ROUND, 5 * draw.rng.randrange(12), draw.rng.randrange(60)))
    kind = draw.rng.random()
    if kind < 0.2:
        # Hours up to 12 would be read as those of a 12-hour clock.
        return Time(draw.pick((0, *range(13, 24))), minute, is_24=True)
    half = draw.pick(("am", "pm")) if kind < 0.55 else ""
    return Time(draw.rng.randint(1, 12), minute, half)


def _moved(time: Time, minutes: int) -> Time:
    """The time some minutes later, or earlier, on its clock."""
    if time.is_24:
        hour, minute = divmod((time.total() + minutes) % (24 * 60), 60)
        return Time(hour, minute, is_24=True)
    total = (time.total() + minutes) % ((24 if time.half else 12) * 60)
    hour, minute = divmod(total, 60)
    half = ("pm" if hour >= 12 else "am") if time.half else ""
    return Time((hour - 1) % 12 + 1, minute, half)


def _wrap_hours(time: Time, hour: int) -> tuple[str, int]:
    """Working that brings an hour back on the clock, and the hour."""
    lowest, highest, size = (0, 23, 24) if time.is_24 else (1, 12, 12)
    if hour > highest:
        return f", {hour} - {size} = {hour - size}", hour - size
    if hour < lowest:
        return f", {hour} + {size} = {hour + size}", hour + size
    return "", hour


def _work_of_move(time: Time, minutes: int) -> str:
    """Sums of minutes and of hours, each brought back on the clock."""
    sign, (hours, rest) = ("+", divmod(minutes, 60)) if minutes > 0 else ("-", divmod(-minutes, 60))
    step = 1 if sign == "+" else -1
    work, carry = [], 0
    if rest:
        minute = time.minute + step * rest
        text = f"{time.minute} {sign} {rest} = {minute}"
        if minute >= HOUR_MINUTES:
            text += f", {minute} - 60 = {minute - 60}"
            carry = 1
        elif minute < 0:
            text += f", {minute} + 60 = {minute + 60}"
            carry = 1
        work.append(text)
    hour = time.hour
    for moved in (hours, carry):
        if moved:
            text = f"{hour} {sign} {moved} = {hour + step * moved}"
            wrapped, hour = _wrap_hours(time, hour + step * moved)
            work.append(text + wrapped)
    return ". ".join(work)


def _minutes_moved(draw: Draw) -> int:
    """A length of time in minutes that somebody may add."""
    kind = draw.rng.random()
    if kind < 0.45:
        return 60 * draw.rng.randint(1, draw.pick((4, 6, 11)))
    if kind < 0.8:
        return draw.pick((10, 15, 20, 30, 30, 45, 40, 50, 5, 25, draw.rng.randint(2, 59)))
    return 60 * draw.rng.randint(1, 4) + draw.pick((30, 30, 15, 45, 10, 20))


def moved_time(draw: Draw) -> Problem:
    """Tell the time some hours and minutes after or before another."""
    time, minutes, is_later = _time(draw), _minutes_moved(draw), draw.chance(0.7)
    slots = {"t": time.spelled(draw), "d": _length_spelled(draw, minutes)}
    request = draw.say(LATER if is_later else EARLIER, **slots)
    minutes = minutes if is_later else -minutes
    result = _moved(time, minutes)
    key = f"clock:{time.text()}:{minutes}"
    return _solved(key, [], request, _work_of_move(time, minutes), f"It is {result.text()}.")


def time_between(draw: Draw) -> Problem:
    """Say how long it is from one time to a later one."""
    start = _time(draw)
    kind = draw.rng.random()
    templates: tuple[str, ...]
    if kind < 0.4:
        room = 59 - start.minute
        if room < 2:
            start = Time(start.hour, 0, start.half, start.is_24)
            room = 59
        minutes = draw.pick((draw.rng.randint(1, room), max(1, room // 5 * 5)))
        if start.minute % 5 == 0 and minutes > 5 and draw.chance(0.7):
            minutes = minutes // 5 * 5
        end = _moved(start, minutes)
        work = work_difference(end.minute, start.minute)
        keys = [difference_key(end.minute, start.minute)]
        templates, reference = MINUTES_BETWEEN, f"{_counted(minutes, 'minute')}."
    elif kind < 0.7:
        start = Time(start.hour, 0 if draw.chance(0.8) else 30, start.half, start.is_24)
        minutes = 60 * draw.rng.randint(1, draw.pick((4, 8, 11)))
        end = _moved(start, minutes)
        work, keys = _work_of_hours(start, minutes // 60)
        templates, reference = HOURS_BETWEEN, f"{_counted(minutes // 60, 'hour')}."
    else:
        minutes = 60 * draw.rng.randint(1, 4) + draw.pick((15, 30, 45, 10, 20, 30))
        end = _moved(start, minutes)
        work, keys = _work_of_length(start, minutes)
        templates, reference = LENGTHS, f"{_length(minutes)}."
    slots = {"t": start.spelled(draw), "u": end.spelled(draw)}
    key = f"between:{start.text()}:{minutes}"
    return _solved(key, keys, draw.say(templates, **slots), work, reference)


def _work_of_hours(start: Time, hours: int) -> tuple[str, list[str]]:
    """Count to 12 and on if the clock begins again between the times."""
    size = 24 if start.is_24 else 12
    first = start.hour % size
    end = first + hours
    if end <= size:
        return work_difference(end, first), [difference_key(end, first)]
    work = f"{work_difference(size, first)}. {work_sum(size - first, end - size)}"
    return work, [difference_key(size, first), sum_key(size - first, end - size)]


def _work_of_length(start: Time, minutes: int) -> tuple[str, list[str]]:
    """Whole hours first, then the minutes that remain."""
    hours, rest = divmod(minutes, 60)
    middle = _moved(start, hours * 60)
    end = _moved(start, minutes)
    to_end = f"{middle.text()} to {end.text()} is {_counted(rest, 'minute')}"
    return f"{start.text()} to {middle.text()} is {_counted(hours, 'hour')}. {to_end}", []


def spoken_time(draw: Draw) -> Problem:
    """Write a time in digits that is given in words, as in `half past three`."""
    hour = draw.rng.randint(1, 12)
    word = number_in_words(hour) if draw.chance(0.7) else str(hour)
    minute = draw.pick((0, 15, 30, 30, 45, 45, 5, 10, 20, 25, 35, 40, 50, 55))
    if minute == 0:
        phrase, result = f"{word} o'clock", Time(hour, 0)
    elif minute <= 30:
        said = {15: draw.pick(("quarter past", "a quarter past")), 30: "half past"}
        default = f"{draw.pick((str(minute), number_in_words(minute)))} past"
        phrase, result = f"{said.get(minute, default)} {word}", Time(hour, minute)
    else:
        left = 60 - minute
        to = f"{draw.pick((str(left), number_in_words(left)))} to"
        if left == 15:
            to = draw.pick(("quarter to", "a quarter to"))
        phrase, result = f"{to} {word}", Time((hour - 2) % 12 + 1, minute)
    request = draw.say(SPOKEN_TIMES, w=phrase)
    key = f"{MEMORISED}:spoken_time:{result.text()}:{minute > 30}"
    return _solved(key, [], request, "", f"It is {result.text()}.")


def other_clock(draw: Draw) -> Problem:
    """Write a time of the 24-hour clock with am or pm, or the other way round."""
    hour = draw.pick((draw.rng.randint(0, 23), draw.rng.randint(13, 23)))
    minute = draw.pick((0, 0, 0, 15, 30, 45, draw.rng.randrange(60)))
    long = Time(hour, minute, is_24=True)
    short = Time((hour - 1) % 12 + 1, minute, "pm" if hour >= 12 else "am")
    key = f"clock24:{long.text()}"
    is_afternoon = hour > 12
    if draw.chance(0.6):
        request = draw.say(TO_12_HOURS, t=long.text())
        work = f"{hour} - 12 = {hour - 12}" if is_afternoon else ""
        return _solved(key, [], request, work, f"{long.text()} = {short.text()}")
    request = draw.say(TO_24_HOURS, t=short.spelled(draw))
    work = f"{hour - 12} + 12 = {hour}" if is_afternoon else ""
    return _solved(key, [], request, work, f"{short.text()} = {long.text()}")


KINDS = {moved_time: 4.0, time_between: 3.0, spoken_time: 1.0, other_clock: 1.0}


def clock(draw: Draw) -> Problem:
    """Answer a question on times of day."""
    (kind,) = draw.rng.choices(list(KINDS), list(KINDS.values()))
    return kind(draw)
