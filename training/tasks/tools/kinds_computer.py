"""Tools for files, apps and records."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Result, fields

TITLES = t.one_of(
    "The Long Night|Blue River|Lost City|The Old House|Golden Key|Winter Moon|The Last "
    "Train|Silent Sea|The Red Door|Star Dust|Paper Boats|The Hidden Garden|Black Rose|Two Brothers"
)
READ_FILE = Kind(
    tuple("read_file open_file load_file get_file cat_file".split()),
    ("Read a file.", "Get the text of a file."),
    {
        "path": t.quotable(
            "path path file filename file_path",
            lambda draw: (
                draw.word() + draw.pick((".txt", ".txt", ".py", ".json", ".md", ".csv", ".log"))
            ),
        )
    },
    (
        "~[Read|Open|Load|Show me|Print] [the file |]{path}.",
        "What [is|does it say] in [the file |]{path}?",
        "[Contents|Content|Text] of {path}[?|]",
        "~[Show|Tell|Give] me [what is in|the contents of|the text of] {path}.",
        "I need to [see|read] [the file |]{path}.",
        "cat {path}",
        "~Look into [the file |]{path}.",
        "~Get the [content|contents|text] of [the file |]{path}.",
        "~Display [the file |]{path}.",
        "What does [the file |]{path} [say|contain]?",
        "[File|Read file|Open]: {path}",
        "Can I see [the file |]{path}?",
    ),
    (Result("{path} says: {content}", {"content": lambda d, g: t.phrase(d)}),),
)
DELETE_FILE = Kind(
    tuple("delete_file remove_file rm_file erase_file".split()),
    ("Delete a file.", "Remove a file from disk."),
    {
        "path": t.quotable(
            "path path file filename name",
            lambda draw: (
                draw.word() + draw.pick((".txt", ".txt", ".py", ".json", ".md", ".csv", ".log"))
            ),
        )
    },
    (
        "~[Delete|Remove|Erase|Get rid of] [the file |]{path}.",
        "rm {path}",
        "I [don't|do not] need [the file |]{path} [any more|anymore]. [Delete it.|Remove it.]",
        "[The file |]{path} [can go|is not needed]. Delete it.",
        "~Throw away [the file |]{path}.",
        "[Delete|Delete file|Remove file]: {path}",
        "I want [the file |]{path} [deleted|gone|removed].",
        "~Clean up: delete {path}.",
        "Can you [delete|remove] [the file |]{path}?",
        "[The file |]{path} is [old|garbage|useless]. [Delete it.|Remove it.]",
        "~Wipe [the file |]{path}.",
        "[The file |]{path} has to go.",
    ),
    (Result("{path} was deleted."),),
)
OPEN_APP = Kind(
    tuple("open_app launch_app start_app run_app open_application".split()),
    ("Open an app.", "Start an application."),
    {
        "app": t.text(
            "app app name app_name application",
            t.one_of(
                "calculator|calendar|camera|browser|notes|maps|mail|clock|settings|music|photos|"
                "weather|contacts|files|chess|paint"
            ),
        )
    },
    (
        "~[Open|Start|Launch|Run] [the |]{app}[ app|].",
        "~[Open|Start|Launch] the [app|application|program] {app}.",
        "I [want|need] [to open |to use |][the |]{app} app.",
        "[App|Open app|Launch]: {app}",
        "{app} app",
        "~Show me the {app} app.",
        "~Bring up [the |]{app} app.",
        "~Switch to the {app} app.",
        "Can you open [the |]{app}?",
        "[The |]{app} app should [open|start].",
        "~Take me to [the |]{app} app.",
        "Where is the {app} app? Open it.",
    ),
    (Result("The {app} app is open."),),
)
SHELL = Kind(
    tuple("run_command execute_command shell run_shell terminal exec_command".split()),
    ("Run a shell command.", "Execute a command."),
    {
        "command": t.quotable(
            "command command cmd script",
            t.one_of(
                "ls|pwd|ls -l|date|whoami|cat notes.txt|git status|git pull|make test|python "
                "main.py|df -h|ping localhost|mkdir data|rm a.txt|echo hello|uname -a"
            ),
        )
    },
    (
        "~[Run|Execute|Start|Call] [the command |]{command}.",
        "[Command|Shell|Terminal|Run]: {command}",
        "~[Type|Enter|Run] {command} in the [terminal|shell|console].",
        "What does [the command |]{command} [print|say|output]?",
        "~Show me the output of {command}.",
        "$ {command}",
        "I [want|need] [to run |the output of ]{command}.",
        "~Try [the command |]{command}.",
        "~Use the [terminal|shell] to run {command}.",
        "Can you run {command}?",
        "In the [shell|terminal]: {command}",
        "What happens if you run {command}?",
    ),
    (Result("The command is done."),),
)
IMAGE = Kind(
    tuple("generate_image draw_image create_picture make_image paint_picture".split()),
    ("Generate an image.", "Draw a picture from a prompt."),
    {
        "prompt": t.quotable(
            "prompt prompt description text subject",
            lambda draw: f"a {t.color(draw)} {t.word(draw)}",
        ),
        "style": t.enum(
            "style style mode",
            ("photo cartoon sketch", "photo painting", "cartoon realistic"),
            ", style {value}",
            " (style: {value})",
            ", {value} style",
        ),
    },
    (
        "~[Draw|Paint|Generate|Create|Make] [a picture of |an image of |]{prompt}.",
        "I [want|need|would like] a [picture|image|drawing] of {prompt}.",
        "[Image|Picture|Drawing] of {prompt}",
        "~Show me {prompt}[ in a picture|].",
        "[Image|Picture|Draw]: {prompt}{more}",
        "Can I have a picture of {prompt}{more}?",
        "~[Create|Generate] an image: {prompt}{more}",
        "~Make me a [picture|drawing] of {prompt}.",
        "~Paint {prompt}[ for me|]{more}.",
        "How does {prompt} look{more}? Draw it.",
        "I want to see {prompt}{more}.",
        "~Design [an image of |a picture of |]{prompt}.",
    ),
    (Result("The picture of {prompt} is ready."),),
)
MOVIE = Kind(
    tuple("get_movie movie_info find_movie search_movie lookup_movie".split()),
    ("Look up a movie.", "Information on a film."),
    {"title": t.quotable("title title movie name film", TITLES)},
    (
        (
            "[When was the movie {title} made|When did the film {title} come out|How old is the "
            "film {title}]?"
        ),
        "~[Look up|Find|Show me|Get] the [movie|film] {title}.",
        "~Tell me about the [movie|film] {title}.",
        "[Who directed|What is the rating of|Who plays in] the [movie|film] {title}?",
        "[Movie|Film]: {title}",
        "Is {title} a good [movie|film]?",
        "I [want|need] [information|facts] [about|on] the [movie|film] {title}.",
        "~Search for the [movie|film] {title}.",
        "What do you know about the [movie|film] {title}?",
        "~Give me [details|information|facts] on the [movie|film] {title}.",
        "Have you seen {title}? [Look up the movie|Tell me about the film].",
        "What is the [movie|film] {title} about?",
    ),
    (
        Result("{title} came out in {year}.", fields(year=lambda d, g: d.rng.randint(1950, 2025))),
        Result(
            "The rating of {title} is {rating}.",
            fields(rating=lambda d, g: d.rng.randint(10, 99) / 10),
        ),
    ),
)
ORDER = Kind(
    tuple("get_order order_status track_order get_order_status lookup_order".split()),
    ("Get the status of an order.", "Track an order by id."),
    {"order": t.text("order_id order_id id order number", t.order_number)},
    (
        "Where is [my|] order {order}?",
        "[What is|What's] the status of [my |]order {order}?",
        "~[Track|Check|Look up|Find] [my |]order {order}.",
        "Order {order}[?| status| status?]",
        "Has [my |]order {order} [shipped|arrived|been sent]?",
        "~[Get|Tell me|Show me] the status of order {order}.",
        "My order [number|id] is {order}. [Where is it|Is it on the way]?",
        "When [does|will] [my |]order {order} [arrive|come]?",
        "~Look into order {order}.",
        "I am waiting for [my |]order {order}. [Where is it|Check it][?|.]",
        "What about [my |]order {order}?",
        "Order number {order}, [where is it|what is its status]?",
    ),
    (
        Result(
            "Order {order} is {status}.",
            {
                "status": lambda d, g: d.pick(
                    (
                        "shipped",
                        "pending",
                        "delivered",
                        "cancelled",
                        "on the way",
                        "delayed",
                        "ready",
                        "lost",
                    )
                )
            },
        ),
    ),
)
USER = Kind(
    tuple("get_user find_user lookup_user fetch_user user_info get_customer".split()),
    ("Look up a user by id.", "Get a user."),
    {"user": t.whole("user_id user_id id uid customer_id", t.up_to(9, 99, 999, 9999))},
    (
        "~[Get|Find|Look up|Fetch|Show|Load] [the |][user|customer] [with id |number |]{user}.",
        "Who is [user|customer] [number |]{user}?",
        "[User|Customer] {user}[?|]",
        "~[Show|Tell] me [the data of |about |who is ][user|customer] {user}.",
        "What [is the name of|do we know about] [user|customer] {user}?",
        "I need [the data of |] [user|customer] {user}.",
        "[Details|Info|Information] [on|about|for] [user|customer] {user}[?|]",
        "~Give me the [name|data|record] of [user|customer] {user}.",
        "~Pull up [user|customer] {user}.",
        "Which [user|customer] has the id {user}?",
        "[user|customer] id {user}",
        "Can you find [user|customer] [number |]{user}?",
    ),
    (Result("User {user} is {name}.", {"name": lambda d, g: d.name()}),),
)
