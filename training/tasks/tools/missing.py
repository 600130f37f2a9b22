"""Requests that leave out what a tool needs."""

from dataclasses import dataclass

from training.tasks.tools.kinds import Kind
from training.tasks.tools.kinds_computer import DELETE_FILE, ORDER
from training.tasks.tools.kinds_home import LIGHT, MUSIC, VOLUME
from training.tasks.tools.kinds_messages import ALARM, EMAIL, EVENT, MESSAGE, TIMER
from training.tasks.tools.kinds_numbers import CONVERT_CURRENCY
from training.tasks.tools.kinds_travel import FLIGHTS
from training.tasks.tools.kinds_weather import SEARCH, STOCK, TIME, TRANSLATE, WEATHER


@dataclass(frozen=True, slots=True)
class Gap:
    """The parameter that requests for a kind of tool do not give."""

    kind: Kind
    parameter: str
    requests: tuple[str, ...]


GAPS = (
    Gap(
        WEATHER,
        "city",
        (
            "[What is|What's|How is] the weather[ like| today| now|]?",
            "~[Get|Check|Show me|Tell me] the weather[ report|].",
            "[Weather|Weather today|Temperature][?|]",
            "Is it [raining|cold|warm|hot|sunny][ outside| today| now|]?",
            "How [cold|warm|hot] is it[ outside| today| now|]?",
            "Do I need [an umbrella|a coat|a jacket][ today|]?",
            "[What is|What's] the temperature[ outside| today| now|]?",
            "I want to know the weather.",
            "Will it [rain|snow][ today|]?",
        ),
    ),
    Gap(
        TIME,
        "city",
        (
            "What time is it[ there|]?",
            "[What is|What's] the [local |]time[ there| over there|]?",
            "~[Tell|Give] me the [local |]time.",
            "[Time|Local time][?|]",
            "How late is it[ there|]?",
            "~[Get|Check] the [current |local |]time.",
            "I need the [local |]time.",
            "Do you know what time it is?",
        ),
    ),
    Gap(
        TIMER,
        "minutes",
        (
            "~[Set|Start|Create] a timer.",
            "I need a timer.",
            "[Timer|A timer|New timer]",
            "Can I have a timer?",
            "~Start the timer[ for me|].",
            "~Count down.",
            "~Let me know when the time is [up|over].",
            "I want to [set|start] a timer.",
        ),
    ),
    Gap(
        ALARM,
        "time",
        (
            "~Set an alarm.",
            "~Wake me up.",
            "I need an alarm.",
            "[Alarm|An alarm|New alarm]",
            "~Wake me[ up|] [tomorrow|later].",
            "Can you wake me[ up|]?",
            "~[Create|Add|Make] an alarm.",
            "I want to be woken up.",
        ),
    ),
    Gap(
        EMAIL,
        "subject",
        (
            "~[Send|Write] an [email|mail] to {to}.",
            "~[Email|Mail] {to}.",
            "~Send {to} an [email|e-mail|mail].",
            "[Email|Mail|New mail] to {to}",
            "I [want|need|have] to [email|mail] {to}.",
            "~[Compose|Draft] an [email|e-mail] to {to}.",
            "Can you write an [email|e-mail] to {to}?",
            "~Drop {to} an [email|e-mail].",
        ),
    ),
    Gap(
        MESSAGE,
        "text",
        (
            "~[Text|Message] {to}.",
            "~[Send|Write] a [message|text] to {to}.",
            "~Send {to} a [message|text|text message].",
            "[Message|Text] to {to}",
            "I [want|need] to [text|message] {to}.",
            "~Write to {to}.",
            "New message to {to}",
            "Can you [text|message] {to}?",
        ),
    ),
    Gap(
        EVENT,
        "date",
        (
            "~[Create|Add|Make] an event {title}.",
            "~[Schedule|Plan|Book] [a |the |]{title}.",
            "~[Put|Add] {title} [in|into|to|on] my calendar.",
            "[Event|New event|Calendar]: {title}",
            "I have [a |]{title}. [Add it to my calendar.|Put it in the calendar.]",
            "~Set up [a |]{title}.",
            "Can you put {title} in my calendar?",
        ),
    ),
    Gap(
        CONVERT_CURRENCY,
        "to",
        (
            "~[Convert|Change|Exchange] {amount} {from}.",
            "I want to [change|exchange] {amount} {from}.",
            "How much is {amount} {from}?",
            "I have {amount} {from}. [Convert it|Change it|Exchange it].",
            "[What is|What's] {amount} {from} worth?",
            "[Convert|Exchange]: {amount} {from}",
            "What do I get for {amount} {from}?",
        ),
    ),
    Gap(
        FLIGHTS,
        "to",
        (
            "~[Find|Search|Look for] [a flight|flights] from {from}.",
            "I want to fly from {from}.",
            "[Flights|A flight|Cheap flights] from {from}",
            "I need a flight from {from}.",
            "[Are there|Which are the] flights from {from}?",
            "I leave from {from}. [Find me a flight|Find flights].",
            "Where are the flights from {from}?",
        ),
    ),
    Gap(
        TRANSLATE,
        "language",
        (
            "~Translate {text}.",
            "~Translate [this|the following]: {text}",
            "I need a translation of {text}.",
            "[Translation|A translation]: {text}",
            "Can you translate {text}?",
            "~[Give|Tell] me the translation of {text}.",
            "~Say {text} in another language.",
            "How do I say {text} in another language?",
        ),
    ),
    Gap(
        STOCK,
        "symbol",
        (
            "[What is|What's] the [stock|share] price?",
            "~[Get|Check|Look up|Show me] [a|the] [stock|share] price.",
            "[Stock price|Share price|Stocks][?|]",
            "How are [the|my] [stocks|shares][ doing|][ today|]?",
            "I need [a|the] [stock|share] price.",
            "How much is [a share|one share|the stock]?",
            "~Tell me the price of [a|the] stock.",
        ),
    ),
    Gap(
        SEARCH,
        "query",
        (
            "~Search the [web|internet].",
            "~[Do|Start] a [web|internet] search.",
            "~Look something up[ online| for me|].",
            "I want to search the [web|internet].",
            "[Web search|Search the web|Search]",
            "Can you search the [web|internet]?",
            "~Find something [online|on the internet|on the web].",
            "~Search for something[ online|].",
        ),
    ),
    Gap(
        MUSIC,
        "song",
        (
            "~Play [some |]music.",
            "~Play [a|another] song.",
            "~Put on [some |]music.",
            "I want to [hear|listen to] [some |]music.",
            "[Music|A song|Some music][ now|]",
            "Can you play [a song|music|something]?",
            "~Let me hear [a song|music|something].",
            "~Start the music.",
        ),
    ),
    Gap(
        LIGHT,
        "room",
        (
            "~[Turn|Switch] on the [light|lights].",
            "~[Turn|Switch] the [light|lights] on.",
            "[Light|Lights] on",
            "It is [too |so |]dark[ here| in here|].",
            "I need [some |more |]light.",
            "Can you [turn|switch] on [a|the] light?",
            "[Light|Lights]",
            "I can't see anything.",
        ),
    ),
    Gap(
        VOLUME,
        "level",
        (
            "~[Set|Change|Adjust] the volume.",
            "[Volume|The volume]",
            "The [music|sound|volume] is [too loud|too quiet|not right].",
            "I want [another|a different] volume.",
            "Can you [change|set|adjust] the volume?",
            "~Do something about the volume.",
            "I can [hardly hear it|not hear it].",
        ),
    ),
    Gap(
        ORDER,
        "order",
        (
            "Where is my [order|package|parcel]?",
            "~[Track|Check|Look up|Find] my [order|package].",
            "[What is|What's] the status of my order?",
            "Has my [order|package] [shipped|arrived|been sent]?",
            "[My order|Order status][?|]",
            "When [does|will] my [order|package] [arrive|come]?",
            "I am waiting for my [order|package|parcel].",
            "Is my [order|package] on the way?",
        ),
    ),
    Gap(
        DELETE_FILE,
        "path",
        (
            "~[Delete|Remove|Erase] a file.",
            "I want to [delete|remove] a file.",
            "[Delete file|Delete|Remove file]",
            "Can you [delete|remove] a file[ for me|]?",
            "I don't need the file any more.",
            "~Get rid of [a|the|that] file.",
            "~Throw [a|the|that] file away.",
        ),
    ),
)
