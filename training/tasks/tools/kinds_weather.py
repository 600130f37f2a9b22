"""Tools that tell the weather, the time, prices, and other words or pages."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Result, fields

TEMPERATURE_UNITS = (
    "celsius fahrenheit",
    "celsius fahrenheit",
    "C=celsius F=fahrenheit",
    "metric imperial",
)
SKY = t.any_word("sunny|cloudy|rainy|windy|foggy|snowy|stormy|clear|mild|humid")

WEATHER = Kind(
    tuple(
        "get_weather weather get_current_weather fetch_weather check_weather current_weather "
        "weather_in_city lookup_weather".split()
    ),
    ("Get the weather in a city.", "Current weather.", "Look up the weather for a place."),
    {
        "city": t.text("city city city location place town", t.city),
        "unit": t.enum(
            "unit unit units scale",
            TEMPERATURE_UNITS,
            " in {value}",
            " (in {value})",
            ", in {value}",
        ),
    },
    (
        (
            "[What is|What's|whats|How is|How's] the weather [like|today|now|right now|like "
            "today|] in {city}{more}?"
        ),
        (
            "~[Get|Check|Find|Show me|Tell me|Look up|Fetch] the [current|] weather [in|for|of] "
            "{city}."
        ),
        "~[Give|Tell] me the [weather|temperature] [in|for] {city}{more}[ now| today|].",
        "[Weather|Current weather|Temperature|Temp|Weather report] [in|for] {city}[?|]",
        "[What is|What's] the [current |][temperature|temp] in {city}[ right now| today|]?",
        "[Is it|Will it be] [raining|sunny|cold|warm|hot|windy|snowing] in {city}[ today| now|]?",
        "How [cold|warm|hot] is it [now |today |]in {city}{more}?",
        "{city}[ weather|: weather|, weather][ today| now|]{more}[?|]",
        "Do I need [an umbrella|a coat|a jacket] in {city}[ today|]{more}?",
        (
            "I am [going|travelling|traveling|flying] to {city}. What's the weather like[ "
            "there|]{more}?"
        ),
        "I [want|need|would like] to know the weather in {city}.",
        "How many degrees is it in {city}?",
        "[Any idea|Do you know] what the weather is [like|] in {city}?",
        "I wonder what the weather is like in {city}.",
        "[Should I|Can I] [go out|wear shorts|take my bike] in {city}[ today|]?",
        "~Let me know the weather [in|for] {city}.",
    ),
    (
        Result(
            "It is {temperature} degrees {unit} in {city}.",
            fields(temperature=t.any_number(-9, 38), unit=t.any_word("celsius|fahrenheit")),
        ),
        Result("It is {temperature} degrees in {city}.", fields(temperature=t.any_number(-9, 38))),
        Result(
            "It is {condition} and {temperature} degrees in {city}.",
            fields(temperature=t.any_number(-9, 38), condition=SKY),
        ),
        Result("It is {condition} in {city}.", fields(condition=SKY)),
    ),
    lists=(
        "[What is|What's|How is|How's] the weather [like|] in {city}?",
        "~[Compare|Get|Check|Show me] the weather in {city}.",
        "~[Give|Tell] me the weather [for|in] {city}.",
        "Weather [in|for] {city}[?|]",
        "[What are|Tell me] the temperatures in {city}[?|]",
        "I need the weather for {city}.",
        "How [warm|cold] is it in {city}?",
    ),
)
FORECAST = Kind(
    tuple("get_forecast weather_forecast forecast fetch_forecast".split()),
    ("Get the weather forecast for some days.", "Weather forecast."),
    {
        "city": t.text("city location place", t.city),
        "days": t.whole("days num_days day_count", t.up_to(7, 10, 14)),
    },
    (
        "[What is|What's] the [weather|] forecast for {city} for [the next|] {days} days?",
        "~[Get|Show me|Give me|Fetch] the {days} day forecast [for|of|in] {city}.",
        "{days} day [weather|] forecast [for|in] {city}[?|]",
        "How will the weather be in {city} over the next {days} days?",
        "Forecast for {city}, {days} days",
        "~[Tell me|Check] the weather in {city} for the [next|coming] {days} days.",
        "I [stay|am] in {city} for {days} days. What [is the forecast|will the weather be]?",
        "~Predict the weather [in|for] {city} for {days} days.",
        "[Weather|Forecast]: {city}, {days} days",
        "[What can I expect|What weather do I get] in {city} in the next {days} days?",
        "~Look up the [weather |]forecast for {city} ({days} days).",
    ),
    (
        Result(
            "The forecast for {city} is {forecast}.",
            fields(forecast=SKY),
        ),
    ),
    "weather",
)
TIME = Kind(
    tuple("get_time current_time get_current_time time_in local_time world_clock".split()),
    ("Get the local time of a city.", "Current time in a place."),
    {"city": t.text("city location place timezone", t.city)},
    (
        "[What|which] time is it [now|right now|] in {city}[ now|]?",
        "[What is|What's|whats] the [current|local|] time in {city}?",
        "~[Tell|Give] me the [current|local|] time in {city}.",
        "[Time|Current time|Local time|Clock] in {city}[?|]",
        "~[Get|Check|Look up|Find] the [current|local|] time [in|for|of] {city}.",
        "{city} time[ now|][?|]",
        "How late is it in {city}?",
        "What does the clock say in {city}?",
        "[Do you know|I want to know] what time it is in {city}[?|.]",
        "~Show me the [local |current |]time in {city}.",
        "~Say what time it is in {city}.",
        "I need [to know |]the [local |current |]time in {city}.",
        "Is it [already|still] [late|morning|night|noon] in {city}?",
    ),
    (
        Result("It is {time} in {city}.", {"time": lambda draw, given: t.clock(draw)}),
        Result("It is {time} in {city}.", {"time": lambda draw, given: t.clock(draw)}),
    ),
    lists=(
        "What time is it in {city}?",
        "[What is|What's] the time in {city}?",
        "~[Tell|Give] me the time in {city}.",
        "Time in {city}[?|]",
        "~[Get|Check] the [local|current] time in {city}.",
        "I need the time for {city}.",
    ),
)
STOCK = Kind(
    tuple("get_stock_price stock_price get_quote stock_quote fetch_stock lookup_stock".split()),
    ("Get the price of a stock.", "Stock price by symbol."),
    {"symbol": t.text("symbol symbol ticker stock company", t.symbol)},
    (
        "[What is|What's|whats] the [stock price|share price|price|current price] of {symbol}?",
        "~[Get|Check|Look up|Show me|Find|Fetch] the [stock|share|] price [of|for] {symbol}.",
        "[Stock price|Share price|Quote|Price of the stock] {symbol}[?|]",
        "{symbol} [stock|stock price|share price|quote|shares][?|]",
        "How [is|are] {symbol} [stock|shares|] doing[ today|]?",
        "How much is [a share of|one share of|a stock of] {symbol}[ now| today|]?",
        "~[Give|Tell] me the [stock|share|] price of {symbol}.",
        "What does a {symbol} share cost?",
        "[At what price|Where] is {symbol} trading[ now| today|]?",
        "[What is|What's] {symbol} worth[ today| now|]?",
        "~Look at [the |]{symbol} [stock|shares|stock price].",
        "I want to [buy|sell] {symbol} [shares|stock]. What is the price?",
        "Is {symbol} [stock |]up or down[ today|]?",
    ),
    (
        Result("The price of {symbol} is {price}.", fields(price=t.any_price)),
        Result(
            "The price of {symbol} is {price} {currency}.",
            fields(price=t.any_price, currency=t.any_word("USD|EUR|GBP|JPY|CHF|CAD")),
        ),
    ),
    lists=(
        "[What are|What is] the [stock prices|prices|share prices] of {symbol}?",
        "~[Get|Check|Show me|Compare] the [stock|share] prices of {symbol}.",
        "Stock prices: {symbol}",
        "{symbol} stock prices[?|]",
        "How are {symbol} doing[ today|]?",
        "~[Give|Tell] me the prices of {symbol}.",
    ),
)
TRANSLATE = Kind(
    tuple("translate translate_text translator get_translation".split()),
    ("Translate a text to another language.", "Translation of a text."),
    {
        "text": t.quotable("text text phrase sentence input", t.phrase),
        "language": t.text(
            "language language target_language to lang target",
            lambda draw: t.either_case(draw, draw.slot(t.LANGUAGES)),
        ),
    },
    (
        "~Translate {text} [to|into] {language}.",
        "How do [you|I] say {text} in {language}?",
        "[What is|What's] {text} in {language}?",
        "~[Say|Write] {text} in {language}.",
        "~Translate [this |the following |]into {language}: {text}",
        "{text} in {language}[?|]",
        "~Give me the {language} [translation of|for|word for] {text}.",
        "What does {text} mean in {language}?",
        "I need {text} in {language}.",
        "{language} [translation of|translation for|for] {text}[?|]",
        "What is the {language} [word|expression] for {text}?",
        "~Put {text} into {language}.",
        "Can you speak {language}? [Say|Translate] {text}.",
        "{text} - [how do I say that|what is that|translate that] [in|to] {language}[?|]",
    ),
    (
        Result(
            "In {language}, it is: {translation}",
            {
                "translation": lambda draw, given: draw.pick(
                    (
                        "bonjour",
                        "hola",
                        "gracias",
                        "ciao",
                        "buenos dias",
                        "guten tag",
                        "danke",
                        "merci",
                        "adios",
                        "grazie",
                        t.phrase(draw),
                    )
                )
            },
        ),
    ),
)
DEFINE = Kind(
    tuple("define define_word dictionary get_definition lookup_word".split()),
    ("Look up the meaning of a word.", "A dictionary."),
    {"word": t.quotable("word term word query", t.word)},
    (
        "What does [the word |]{word} mean?",
        "~Define [the word |]{word}.",
        "[What is|What's] the [meaning|definition] of [the word |]{word}?",
        "~Look up [the word |the meaning of |]{word}[ in the dictionary|].",
        "[Definition|Meaning] of {word}[?|]",
        "~[Give|Tell] me the [definition|meaning] of {word}.",
        "{word}[ meaning| definition|: meaning]",
        "~Explain the word {word}.",
        "I don't know the word {word}. [What does it mean?|Look it up.]",
        "Meaning of the word {word}[?|]",
        "~Tell me what {word} means.",
        "Can you define {word}?",
    ),
    (Result("{word}: {definition}", {"definition": lambda d, g: f"a kind of {d.word()}"}),),
    "search",
)
SEARCH = Kind(
    tuple("search web_search search_web internet_search find_online query_web".split()),
    ("Search the web.", "Search the internet for a query."),
    {
        "query": t.quotable("query query q term keywords text", t.query),
        "limit": t.whole(
            "limit max_results count top_k num_results",
            t.up_to(5, 10, 20),
            ", at most {value} results",
            " ({value} results)",
            ", only {value} results",
        ),
    },
    (
        "~Search [for|the web for|the internet for|online for] {query}.",
        "~[Look up|Look for|Research] {query}[ online| on the web|].",
        (
            "~Find [information about|something about|pages about|results for|me] {query}{more}[ "
            "online|]."
        ),
        "[Web search|Search|Search query|Look up]: {query}",
        (
            "What [can you find|do you find|is there] [on the web|online|on the internet] about "
            "{query}?"
        ),
        "I [want|need] [information on|to read about|to find] {query}{more}[ online| on the web|].",
        "~Do a [web|internet|quick] search [on|for|about] {query}.",
        "search {query}",
        "~Show me [search results|what the web says] [for|about] {query}.",
        "[Can you find|Do you know] [something|anything] about {query}{more} [online|on the web]?",
        "~Browse [the web|the internet] for {query}.",
        "I am looking for {query}{more} [online|on the web|on the internet].",
    ),
    (
        Result(
            "The first result is {title}.",
            {"title": lambda draw, given: t.phrase(draw).title()},
        ),
        Result("I found {count} results for {query}.", fields(count=t.any_number(1, 999))),
    ),
    "search",
)
NEWS = Kind(
    tuple("get_news news latest_news fetch_news get_headlines headlines".split()),
    ("Get the latest news about a topic.", "News headlines."),
    {
        "topic": t.text(
            "topic topic category query subject",
            t.one_of(
                "sports|politics|technology|science|music|football|business|health|space|weather|"
                "movies|economy|art|travel|energy|climate|cars|games|food|fashion|tennis|robots"
            ),
        ),
    },
    (
        "[What is|What's] [new|the news|in the news|the latest] [in|about|on] {topic}[ today|]?",
        "~[Get|Show|Give|Tell|Read] me the [latest |]news [about|on|in] {topic}.",
        "[Latest news|News|Headlines|Today's news] [about|on|in] {topic}[?|]",
        "{topic} news[?|]",
        "Any [news|headlines] [about|on] {topic}[ today|]?",
        "~Fetch [the |][latest|newest|current] {topic} [news|headlines].",
        "What happened in {topic}[ today|]?",
        "~Look up news [about|on] {topic}.",
        "~Catch me up on {topic}[ news|].",
        "I want [to read |]news [about|on] {topic}.",
        "What are today's headlines [about|on|in] {topic}?",
        "~Check the {topic} news.",
    ),
    (
        Result(
            "The top story is {headline}.",
            {"headline": lambda d, g: " ".join(d.distinct(3)).capitalize()},
        ),
    ),
    "search",
)
