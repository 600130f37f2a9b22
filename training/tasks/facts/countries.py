"""Closed sets about countries: capitals, continents, languages, currencies."""

from dataclasses import dataclass

from training.tasks.facts.closed import closed, table, typed
from training.tasks.problem import Problem
from training.tasks.text.layouts import one_kind
from training.wordings import Draw


@dataclass(frozen=True, slots=True)
class Country:
    """A country with what is known of it; an empty text is left out."""

    name: str
    capital: str
    continent: str
    languages: str
    currency: str


COUNTRIES = [
    Country(*row)
    for row in table(
        """
        France|Paris|Europe|French|euro
        Italy|Rome|Europe|Italian|euro
        Germany|Berlin|Europe|German|euro
        Spain|Madrid|Europe|Spanish|euro
        Norway|Oslo|Europe|Norwegian|Norwegian krone
        Austria|Vienna|Europe|German|euro
        Ireland|Dublin|Europe|English and Irish|euro
        Portugal|Lisbon|Europe|Portuguese|euro
        Greece|Athens|Europe|Greek|euro
        Poland|Warsaw|Europe|Polish|zloty
        Egypt|Cairo|Africa|Arabic|Egyptian pound
        Japan|Tokyo|Asia|Japanese|yen
        India|New Delhi|Asia|Hindi, English and many more|Indian rupee
        Peru|Lima|South America|Spanish|sol
        Canada|Ottawa|North America|English and French|Canadian dollar
        Brazil|Brasilia|South America|Portuguese|real
        Chile|Santiago|South America|Spanish|Chilean peso
        Cuba|Havana|North America|Spanish|Cuban peso
        Kenya|Nairobi|Africa|Swahili and English|Kenyan shilling
        Sweden|Stockholm|Europe|Swedish|Swedish krona
        Finland|Helsinki|Europe|Finnish and Swedish|euro
        Denmark|Copenhagen|Europe|Danish|Danish krone
        Hungary|Budapest|Europe|Hungarian|forint
        Turkey|Ankara|Asia and Europe|Turkish|Turkish lira
        Russia|Moscow|Europe and Asia|Russian|ruble
        China|Beijing|Asia|Chinese|yuan
        Australia|Canberra|Oceania|English|Australian dollar
        Belgium|Brussels|Europe|Dutch, French and German|euro
        the Netherlands|Amsterdam|Europe|Dutch|euro
        Switzerland|Bern|Europe|German, French, Italian and Romansh|Swiss franc
        Mexico|Mexico City|North America|Spanish|Mexican peso
        Argentina|Buenos Aires|South America|Spanish|Argentine peso
        the United States|Washington, D.C.|North America|English|US dollar
        the United Kingdom|London|Europe|English|pound
        England|London|Europe|English|pound
        Scotland|Edinburgh|Europe||pound
        Wales|Cardiff|Europe|English and Welsh|pound
        Iceland|Reykjavik|Europe|Icelandic|Icelandic krona
        the Czech Republic|Prague|Europe|Czech|Czech koruna
        Slovakia|Bratislava|Europe|Slovak|euro
        Croatia|Zagreb|Europe|Croatian|euro
        Serbia|Belgrade|Europe|Serbian|Serbian dinar
        Romania|Bucharest|Europe|Romanian|leu
        Bulgaria|Sofia|Europe|Bulgarian|
        Ukraine|Kyiv|Europe|Ukrainian|hryvnia
        Estonia|Tallinn|Europe|Estonian|euro
        Latvia|Riga|Europe|Latvian|euro
        Lithuania|Vilnius|Europe|Lithuanian|euro
        Slovenia|Ljubljana|Europe|Slovenian|euro
        South Korea|Seoul|Asia|Korean|won
        North Korea|Pyongyang|Asia|Korean|
        Thailand|Bangkok|Asia|Thai|baht
        Vietnam|Hanoi|Asia|Vietnamese|dong
        the Philippines|Manila|Asia|Filipino and English|Philippine peso
        Malaysia|Kuala Lumpur|Asia|Malay|ringgit
        Pakistan|Islamabad|Asia|Urdu and English|Pakistani rupee
        Bangladesh|Dhaka|Asia|Bengali|taka
        Nepal|Kathmandu|Asia|Nepali|Nepalese rupee
        Mongolia|Ulaanbaatar|Asia|Mongolian|
        Iran|Tehran|Asia|Persian|
        Iraq|Baghdad|Asia|Arabic and Kurdish|
        Saudi Arabia|Riyadh|Asia|Arabic|riyal
        Morocco|Rabat|Africa|Arabic and Berber|dirham
        Tunisia|Tunis|Africa|Arabic|
        Algeria|Algiers|Africa|Arabic and Berber|
        Nigeria|Abuja|Africa||naira
        Ghana|Accra|Africa||cedi
        Ethiopia|Addis Ababa|Africa||birr
        Senegal|Dakar|Africa||
        Uganda|Kampala|Africa|English and Swahili|
        Colombia|Bogota|South America|Spanish|Colombian peso
        Venezuela|Caracas|South America|Spanish|
        Ecuador|Quito|South America|Spanish|US dollar
        Uruguay|Montevideo|South America|Spanish|
        Paraguay|Asuncion|South America|Spanish and Guarani|
        New Zealand|Wellington|Oceania|English and Maori|New Zealand dollar
        Jamaica|Kingston|North America||
        Costa Rica|San Jose|North America|Spanish|
        Panama|Panama City|North America|Spanish|
        """
    )
]
FAMOUS = 34  # the first ones are asked about most
OTHER_NAMES = {
    "the United States": ("the US", "the USA", "America", "USA", "the U.S.", "US"),
    "the United Kingdom": ("the UK", "Great Britain", "UK", "Britain"),
    "the Netherlands": ("Holland", "the netherlands"),
    "the Czech Republic": ("Czechia",),
    "Washington, D.C.": ("Washington", "Washington DC", "Washington D.C."),
    "Kyiv": ("Kiev",),
    "Bogota": ("Bogotá",),
    "Brasilia": ("Brasília",),
}
PARTS_OF_BRITAIN = ("England", "Scotland", "Wales", "the United Kingdom")
CAPITAL = (
    "[What is|What's|whats|What's] the capital[ city|] of {country}?",
    "[Which|What] city is the capital of {country}?",
    "[Tell|Give|Show] me the capital of {country}.",
    "~[Name|State|Find|Say|Write] the capital[ city|] of {country}.",
    "[the capital|capital|Capital city] of {country}[?|]",
    "capital {bare}[?|]",
    "{bare} capital[ city|][?|]",
    "{bare}'s capital[ city|][?|]",
    "[What is|What's|whats] {owner} capital[ city|]?",
    "[What is|What's|Tell me|Do you know] the name of the capital of {country}?",
    "The capital of {country} is[...| ___| what?| called?|]",
    "[Capital|Capital city]: {bare}",
    "{bare}: [capital|what is the capital|capital city][?|]",
    "{bare} - [capital|capital city|what's the capital][?|]",
    "[Do you know|Can you tell me|Could you name] the capital of {country}?",
    "[Which|What] is the capital[ city|] of the country {bare}?",
    "What do you call the capital of {country}?",
    "[gimme|I need|I want to know|I'd like to know] the capital of {country}",
    "[Geography|Quiz|Trivia|Geography question]: [the |]capital of {country}[?|]",
    "In {country}, [what|which city] is the capital?",
    "{country} has [which|what] capital?",
    "capital_of({bare})",
)
OF_WHICH = (
    "{capital} is the capital of [which|what] country?",
    "[So |And |]{capital} is the capital of [which|what] country?",
    "[Which|What] country has {capital} as its capital?",
    "[Which|What] country's capital is {capital}?",
    "[Of which country is|What country is] {capital} the capital[| of]?",
    "{capital} is the capital of[...| ___| what?|]",
    "[Tell me|Name|Give me] the country whose capital is {capital}.",
    "{capital} [capital of|is capital of|capital of which country][?|]",
    "The capital is {capital}. [What is the country?|Which country is it?|Country?]",
    "What is {capital} the capital of?",
    "[Which|What] nation's capital [city |]is {capital}?",
    "What is {capital}?",
    "[I know the capital is|The capital is called] {capital}. [What|Which] country is it?",
    "[Do you know|Can you tell me] which country {capital} is the capital of?",
    "I am in {capital}. [Of which country is it the capital?|It is the capital of what?]",
    "{capital} - [capital of|capital of which country|which country's capital is it][?|]",
    "~Name the country with the capital {capital}.",
    "In [which|what] country is {capital} the capital?",
    "Country with capital {capital}[?|]",
)
IS_CAPITAL = (
    "Is {capital} the capital of {country}?",
    "[Is it true|Is it correct|Is it right] that {capital} is the capital of {country}?",
    "[Yes or no|Quiz, yes or no|Say yes or no]: {capital} is the capital of {country}[.|?|]",
    "{capital} is the capital of {country}[, right?|, isn't it?|, correct?|. True?|?]",
    "Is the capital of {country} {capital}?",
    "The capital of {country} is {capital}[, right?|, isn't it?|. Is that right?|?]",
    "Is {owner} capital {capital}?",
    "I think the capital of {country} is {capital}. [Am I right?|Is that correct?|Right?]",
    "[Check|Verify|Confirm]: {capital} is the capital of {country}.",
    "Does {country} have {capital} as its capital?",
    "Tell me if {capital} is the capital of {country}.",
    "[Somebody|My friend] says {capital} is the capital of {country}. [Is it?|Is that true?]",
    "The capital city of {country} [must be|should be] {capital}, right?",
    "Would you say {capital} is the capital of {country}?",
    "{owner} capital is {capital}[?|, right?]",
    "Do you agree that {capital} is the capital of {country}?",
)
WHERE = (
    "[Which|What] country is {city} in?",
    "In [which|what] country is {city}[ located| situated|]?",
    "Where is {city}[ located| situated|]?",
    "Where's {city}?",
    "{city} is in [which|what] country?",
    "[Which|What] country does {city} belong to?",
    "[Tell me|Say] where {city} is.",
    "[Do you know|Can you tell me] where {city} is?",
    "{city} is [located |]in[...| ___|]",
    "{city}: [which|what] country[?|]",
    "The city is {city}. [Which country is it in?|Country?]",
    "[Country|The country] of {city}[?|]",
    "Where can I find {city}?",
    "where in the world is {city}?",
)
ABOUT = (
    "What is {country}?",
    "What exactly is {country}?",
    "~Describe {country}.",
    "Can you [say|explain|tell me] what {country} is?",
    "What sort of place is {country}?",
    "[Do you know|Have you heard of] {country}?",
    "What kind of [place|country] is {country}?",
    "{bare}[?|]",
    "[Describe|Explain] what {country} is.",
    "Is {country} a [country|city|country or a city]?",
)
CONTINENT = (
    "[What|Which] continent is {country} [in|on|part of]?",
    "[On|In] [what|which] continent is {country}[ located|]?",
    "{country} is [in|on] [what|which] continent?",
    "[What is|What's] the continent of {country}?",
    "[Which|What] continent does {country} belong to?",
    "[Tell me|Name|Give me] the continent of {country}.",
    "continent of {country}[?|]",
    "{bare} continent[?|]",
    "[Continent|Which continent]: {bare}",
    "Where is {country}?",
    "[Where|where in the world] is {country}[ located|]?",
    "{country} is [located |]in[...| ___|]",
    "The country is {country}. [Which continent?|Continent?]",
    "[Do you know|Can you tell me] which continent {country} is [in|on]?",
    "[What|Which] part of the world is {country} in?",
)
LANGUAGE = (
    "[What|Which] language [do people|do they] speak in {country}?",
    "[What|Which] language is spoken in {country}?",
    "[What|Which] language is [usually |mostly |]spoken in {country}?",
    "[What|Which] languages are spoken in {country}?",
    "[What is|What's|whats] the [official |]language of {country}?",
    "What do [they|people] speak in {country}?",
    "[Tell me|Name|Give me] the language of {country}.",
    "[official language|language|languages|Languages spoken] [of|in] {country}[?|]",
    "{bare} language[?|]",
    "[Language|Official language]: {bare}",
    "In {country} [they|people] speak[...| ___| what?| which language?]",
    "People in {country} speak[...| ___|]",
    "I am going to {country}. [Which|What] language do they speak[ there|]?",
    "[Which|What] language do I need in {country}?",
    "[Do you know|Can you tell me] which language is spoken in {country}?",
    "How do people in {country} speak? [Which|What] language?",
    "{country}: [what|which] language[?|]",
    "What is the [main|national|mother] [language|tongue] of {country}?",
    "{bare}: [language|which language do they speak][?|]",
    "~Say which language people speak in {country}.",
    "which language is official in {country}?",
)
CURRENCY = (
    "[What is|What's|whats] the currency [of|in] {country}?",
    "[What|Which] currency [is used|do they use|do people use|do they have] in {country}?",
    "[What|Which] money [is used|do they use|do people use] in {country}?",
    "[What|Which] currency does {country} [use|have]?",
    "[Tell me|Name|Give me] the currency of {country}.",
    "currency [of|in] {country}[?|]",
    "{bare} [currency|money][?|]",
    "[Currency|Money]: {bare}",
    "The currency of {country} is[...| ___| what?|]",
    "[What is|What's] the money of {country} called?",
    "[How|With what] do people pay in {country}? [Which|What] currency?",
    "I am going to {country}. [Which|What] [money|currency] do I need?",
    "[Do you know|Can you tell me] what the currency of {country} is?",
    "[What|Which] money does {country} have?",
    "[What is|What's] {owner} currency?",
    "[What|Which] [coins|bank notes|notes] do they have in {country}?",
    "{bare}: [currency|which currency|what money][?|]",
    "[Quiz|Trivia|Geography]: currency of {country}?",
    "What do [people|they] pay with in {country}?",
)


def _country(draw: Draw) -> Country:
    famous = draw.chance(0.6)
    return draw.pick(COUNTRIES[:FAMOUS] if famous else COUNTRIES)


def _named(draw: Draw, name: str) -> str:
    others = OTHER_NAMES.get(name, ())
    return typed(draw, draw.pick(others) if others and draw.chance(0.6) else name)


def _slots(draw: Draw, country: Country) -> dict[str, str]:
    name = _named(draw, country.name)
    bare = name.removeprefix("the ").removeprefix("THE ")
    return {"country": name, "bare": bare, "owner": name + ("'" if name[-1] in "sS" else "'s")}


def _full_stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def capital(draw: Draw) -> Problem:
    """The capital of a country, its country, or whether a city is one."""
    country = _country(draw)
    city, name = country.capital, f"capital:{country.name}"
    kind = draw.rng.random()
    answer = _full_stop(f"The capital of {country.name} is {city}")
    if kind < 0.68:
        return closed(
            "country", name, draw.say(CAPITAL, alone=False, **_slots(draw, country)), answer, city
        )
    if kind < 0.85:
        owner = "the United Kingdom" if city == "London" else country.name
        request = draw.say(OF_WHICH, capital=_named(draw, city))
        answer = f"{city} is the capital of {owner}."
        return closed("country", f"capital:{owner}", request, answer, owner)
    said = city if draw.chance(0.5) else _country(draw).capital
    request = draw.say(IS_CAPITAL, capital=_named(draw, said), alone=False, **_slots(draw, country))
    if said == city:
        return closed("country", name, request, f"Yes, {city} is the capital of {country.name}.")
    return closed("country", name, request, f"No, {answer[0].lower()}{answer[1:]}")


def place(draw: Draw) -> Problem:
    """The country of a city, or the continent of a country."""
    country = _country(draw)
    if draw.chance(0.35):
        owner = "England" if country.capital == "London" else country.name
        request = draw.say(WHERE, city=_named(draw, country.capital))
        return closed(
            "country", f"place:{owner}", request, f"{country.capital} is in {owner}.", owner
        )
    answer = f"{country.name[0].upper()}{country.name[1:]} is in {country.continent}."
    request = draw.say(CONTINENT, alone=False, **_slots(draw, country))
    return closed("country", f"continent:{country.name}", request, answer, country.continent)


def about(draw: Draw) -> Problem:
    """The continent and the capital of a country in two sentences."""
    country = _country(draw)
    name = f"{country.name[0].upper()}{country.name[1:]}"
    city = _full_stop(country.capital)
    answer = f"{name} is a country in {country.continent}. Its capital is {city}"
    request = draw.say(ABOUT, alone=False, **_slots(draw, country))
    return closed("country", f"about:{country.name}", request, answer)


def language(draw: Draw) -> Problem:
    """The languages of a country."""
    country = _country(draw)
    while not country.languages:
        country = _country(draw)
    answer = f"People in {country.name} speak {country.languages}."
    request = draw.say(LANGUAGE, alone=False, **_slots(draw, country))
    return closed("country", f"language:{country.name}", request, answer, country.languages)


def currency(draw: Draw) -> Problem:
    """The currency of a country."""
    country = _country(draw)
    while not country.currency:
        country = _country(draw)
    answer = f"The currency of {country.name} is the {country.currency}."
    request = draw.say(CURRENCY, alone=False, **_slots(draw, country))
    return closed("country", f"currency:{country.name}", request, answer, country.currency)


KINDS = ((capital, 6.0), (place, 2.0), (about, 1.2), (language, 1.5), (currency, 1.0))


def country_fact(draw: Draw) -> Problem:
    """A capital, a place, a language or a currency."""
    return one_kind(draw, KINDS)
