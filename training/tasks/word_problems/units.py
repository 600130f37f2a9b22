"""Units of measure, and how many of one make another."""

from dataclasses import dataclass

from training.wordings import Draw


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it is in answers, and other ways to write it, each in singular and plural."""

    one: str
    many: str
    others: tuple[str, ...] = ()

    @property
    def is_word(self) -> bool:
        """False for abbreviations such as `km`."""
        return len(self.one) > 2

    def of(self, count: object) -> str:
        """The unit of a count, as in answers."""
        return f"{count} {self.one if str(count) == '1' else self.many}"

    def spelled(self, draw: Draw) -> tuple[str, str]:
        """Singular and plural, as somebody may write them."""
        one, many = draw.pick((f"{self.one}:{self.many}", *self.others)).split(":")
        return one, many


KM = Unit("km", "km", ("kilometer:kilometers", "kilometre:kilometres", "kilometer:kilometers"))
M = Unit("m", "m", ("meter:meters", "metre:metres", "meter:meters"))
CM = Unit("cm", "cm", ("centimeter:centimeters", "centimetre:centimetres"))
MM = Unit("mm", "mm", ("millimeter:millimeters", "millimetre:millimetres"))
TON = Unit("t", "t", ("ton:tons", "tonne:tonnes"))
KG = Unit("kg", "kg", ("kilogram:kilograms", "kilo:kilos", "kg:kgs"))
G = Unit("g", "g", ("gram:grams", "gram:grams"))
MG = Unit("mg", "mg", ("milligram:milligrams",))
L = Unit("l", "l", ("liter:liters", "litre:litres", "liter:liters", "L:L"))
CL = Unit("cl", "cl", ("centiliter:centiliters", "centilitre:centilitres"))
ML = Unit("ml", "ml", ("milliliter:milliliters", "millilitre:millilitres", "mL:mL"))
SECOND = Unit("second", "seconds", ("sec:secs", "second:seconds", "s:s"))
MINUTE = Unit("minute", "minutes", ("min:min", "minute:minutes", "min:mins", "minute:minutes"))
HOUR = Unit("hour", "hours", ("hour:hours", "hour:hours", "hr:hrs", "h:h"))
DAY, WEEK = Unit("day", "days"), Unit("week", "weeks")
MONTH, YEAR = Unit("month", "months"), Unit("year", "years", ("year:years", "yr:yrs"))
DECADE, CENTURY = Unit("decade", "decades"), Unit("century", "centuries")
DOLLAR = Unit("dollar", "dollars", ("dollar:dollars", "buck:bucks"))
EURO, CENT = Unit("euro", "euros"), Unit("cent", "cents")
QUARTER, DIME, NICKEL = (
    Unit("quarter", "quarters"),
    Unit("dime", "dimes"),
    Unit("nickel", "nickels"),
)
FOOT = Unit("foot", "feet", ("ft:ft",))
INCH, YARD = Unit("inch", "inches"), Unit("yard", "yards")
POUND, OUNCE = Unit("pound", "pounds", ("lb:lbs",)), Unit("ounce", "ounces", ("oz:oz",))
BYTE, BIT = Unit("byte", "bytes"), Unit("bit", "bits")
DOZEN, PIECE = Unit("dozen", "dozen", ("dozen:dozens",)), Unit("item", "items", ("thing:things",))

# A large unit, a small one, how many make it, and how often it is asked about.
PAIRS = (
    (KM, M, 1000, 9),
    (M, CM, 100, 9),
    (CM, MM, 10, 6),
    (M, MM, 1000, 2),
    (KG, G, 1000, 9),
    (G, MG, 1000, 1),
    (TON, KG, 1000, 2),
    (L, ML, 1000, 6),
    (L, CL, 100, 1),
    (HOUR, MINUTE, 60, 12),
    (MINUTE, SECOND, 60, 8),
    (DAY, HOUR, 24, 7),
    (WEEK, DAY, 7, 8),
    (YEAR, MONTH, 12, 5),
    (DECADE, YEAR, 10, 1),
    (CENTURY, YEAR, 100, 1),
    (DOLLAR, CENT, 100, 5),
    (EURO, CENT, 100, 2),
    (DOLLAR, QUARTER, 4, 2),
    (DOLLAR, DIME, 10, 1),
    (DOLLAR, NICKEL, 20, 1),
    (FOOT, INCH, 12, 5),
    (YARD, FOOT, 3, 2),
    (POUND, OUNCE, 16, 2),
    (BYTE, BIT, 8, 1),
    (DOZEN, PIECE, 12, 4),
)
# Facts that are known by heart: one unit in another, exactly or nearly.
FACTS = (
    (HOUR, SECOND, "3600"),
    (DAY, MINUTE, "1440"),
    (DAY, SECOND, "86400"),
    (WEEK, HOUR, "168"),
    (WEEK, MINUTE, "10080"),
    (CENTURY, DECADE, "10"),
    (KM, CM, "100000"),
    (KM, MM, "1000000"),
    (KG, MG, "1000000"),
    (YARD, INCH, "36"),
    (Unit("mile", "miles"), FOOT, "5280"),
    (OUNCE, G, "28"),
    (Unit("cup", "cups"), ML, "240"),
    (Unit("dollar", "dollars"), Unit("penny", "pennies"), "100"),
    *((unit, each, str(count)) for unit, each, count, _ in PAIRS if unit is not DOZEN),
)
# Units that are far apart, with their factor.
FAR_PAIRS = (
    (HOUR, SECOND, 3600),
    (DAY, MINUTE, 1440),
    (WEEK, HOUR, 168),
    (YEAR, WEEK, 52),
    (YEAR, DAY, 365),
    (KM, CM, 100_000),
    (YARD, INCH, 36),
)
# Units that are only nearly so many others, and the counts that are known by heart.
MILE = Unit("mile", "miles", ("mile:miles", "mi:mi"))
NEAR = (
    (MILE, KM, 1.609344),
    (KM, MILE, 0.621371),
    (POUND, KG, 0.453592),
    (KG, POUND, 2.204623),
    (INCH, CM, 2.54),
    (FOOT, CM, 30.48),
    (M, FOOT, 3.28084),
)
NEAR_COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 20, 50, 100)
HALVES = (
    ("half an hour", 30, MINUTE),
    ("a half hour", 30, MINUTE),
    ("a quarter of an hour", 15, MINUTE),
    ("three quarters of an hour", 45, MINUTE),
    ("an hour and a half", 90, MINUTE),
    ("one and a half hours", 90, MINUTE),
    ("two and a half hours", 150, MINUTE),
    ("half a minute", 30, SECOND),
    ("half a day", 12, HOUR),
    ("a day and a half", 36, HOUR),
    ("half a year", 6, MONTH),
    ("a quarter of a year", 3, MONTH),
    ("a year and a half", 18, MONTH),
    ("half a century", 50, YEAR),
    ("half a dozen", 6, PIECE),
    ("half a kilometer", 500, M),
    ("half a km", 500, M),
    ("half a meter", 50, CM),
    ("half a kilo", 500, G),
    ("half a kg", 500, G),
    ("a quarter of a kilo", 250, G),
    ("half a liter", 500, ML),
    ("half a litre", 500, ML),
    ("a quarter of a liter", 250, ML),
    ("half a dollar", 50, CENT),
    ("half a foot", 6, INCH),
    ("half a pound", 8, OUNCE),
)
MIXED = (
    *((HOUR, MINUTE, 60),) * 5,
    *((MINUTE, SECOND, 60),) * 3,
    *((M, CM, 100),) * 3,
    *((FOOT, INCH, 12),) * 2,
    *((KM, M, 1000), (KG, G, 1000), (L, ML, 1000), (WEEK, DAY, 7), (YEAR, MONTH, 12)),
    *((DAY, HOUR, 24), (DOLLAR, CENT, 100), (POUND, OUNCE, 16)),
)
