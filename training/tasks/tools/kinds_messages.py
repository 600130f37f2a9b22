"""Tools for messages, calls, and appointments."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Result

EMAIL = Kind(
    tuple("send_email send_mail email mail compose_email write_email".split()),
    ("Send an email.", "Send an e-mail to somebody."),
    {
        "to": t.text("to to recipient address receiver", t.recipient),
        "subject": t.quotable("subject subject title topic about", t.topic),
        "body": t.quotable(
            "body body text message content",
            t.phrase,
            ", text: {value}",
            ", saying {value}",
            ", body: {value}",
            " and the text {value}",
        ),
    },
    (
        "~[Send|Write] an [email|e-mail|mail] to {to} [about|with the subject|with subject] "
        "{subject}.",
        "~[Email|Mail] {to} about {subject}.",
        "~Send {to} an [email|e-mail|mail] [about|with subject|titled] {subject}.",
        "[Email|Mail|New mail|New email] to {to}, subject: {subject}",
        "I [want|need|have] to [email|mail|write to] {to} about {subject}.",
        "~[Send|Write] an [email|mail]. To: {to}. Subject: {subject}",
        (
            "~[Compose|Draft] [an email|a mail] to {to} [with the title|with the subject|about] "
            "{subject}."
        ),
        "~Let {to} know about {subject} by [email|mail].",
        "To: {to}\nSubject: {subject}\nSend it",
        "~Drop {to} an [email|e-mail] about {subject}.",
        "{to} needs an [email|e-mail] about {subject}.",
        "~Mail {subject} to {to}.",
        "~Write {to} an [email|e-mail]. The subject is {subject}.",
    ),
    (Result("The email to {to} was sent."),),
)
MESSAGE = Kind(
    tuple("send_message send_text text_message send_sms message_contact".split()),
    ("Send a text message.", "Send a message to a contact."),
    {
        "to": t.text("to to contact person recipient name", t.person),
        "text": t.quotable("text message body text content", t.phrase),
    },
    (
        "~[Send|Text|Write|Message] {to}: {text}",
        "~[Send|Write] [a message|a text|an sms] to {to}: {text}",
        "~Text {to} [that says |saying |the words |]{text}.",
        "~Send {text} to {to}.",
        "~[Send|Write] {to} the [message|text] {text}.",
        "Message [to|for] {to}: {text}",
        "I want to [text|message|send] {to} {text}.",
        "~Say {text} to {to}[ by text| in a message|].",
        "~Tell {to} {text}.",
        "~Let {to} know: {text}",
        "{to} should get [a message|a text]: {text}",
        "New message to {to}: {text}",
    ),
    (Result("The message to {to} was sent."),),
)
CALL = Kind(
    tuple("make_call call_contact phone_call dial start_call".split()),
    ("Call a contact.", "Start a phone call."),
    {
        "name": t.text("name name contact person who", t.person),
        "video": t.flag("video video with_video", ", with video", " on video", " with video"),
    },
    (
        "~[Call|Phone|Ring|Ring up|Dial] {name}[ now|].",
        "~[Make|Start] a [phone |]call to {name}.",
        "I [want|need|have] to [call|phone|speak to|talk to] {name}{more}.",
        "[Call|Phone call|A call] [to|with] {name}",
        "~Get {name} on the phone{more}.",
        "~Give {name} a [call|ring]{more}.",
        "~Connect me to {name}.",
        "~Let me [speak|talk] to {name}{more}.",
        "Could you [call|phone|ring] {name}{more}?",
        "I have to speak to {name}{more}.",
        "[Call|Dial]: {name}{more}",
        "~Try to reach {name} by phone.",
    ),
    (Result("I am calling {name}."),),
)
CONTACT = Kind(
    tuple("find_contact get_phone_number lookup_contact get_contact phone_book".split()),
    ("Find the phone number of a contact.", "Look up a contact."),
    {"name": t.text("name name person contact who", t.person)},
    (
        "[What is|What's] the [phone |]number of {name}?",
        "~[Find|Get|Look up|Show me|Give me] the [phone |]number of {name}.",
        "~[Find|Look up] {name} in my contacts.",
        "[Phone number|Number|Contact] of {name}[?|]",
        "How can I [reach|call] {name}?",
        "Do you have the number of {name}?",
        "I need the [phone |]number of {name}.",
        "~Check the [phone |]number of {name}.",
        "~Look in my contacts for {name}.",
        "Under which number can I call {name}?",
        "{name}'s [phone |]number[?|]",
        "What is {name}'s [phone |]number?",
    ),
    (
        Result(
            "The number of {name} is {phone}.",
            {"phone": lambda d, g: f"555-{d.rng.randint(0, 9999):04d}"},
        ),
    ),
)
TIMER = Kind(
    tuple("set_timer start_timer timer create_timer countdown".split()),
    ("Set a timer.", "Start a countdown in minutes."),
    {
        "minutes": t.whole("minutes minutes duration mins time", t.up_to(9, 20, 30, 60, 90)),
        "label": t.text(
            "label label name title",
            t.one_of("tea|eggs|pasta|pizza|laundry|break|nap|workout|homework|cake|rice|meeting"),
            ", label {value}",
            " called {value}",
            " (name: {value})",
            " named {value}",
        ),
    },
    (
        "~[Set|Start|Create] a timer [for|of] {minutes} [minutes|min].",
        "~[Set|Start] a {minutes} [minute|min|minutes] timer.",
        "[Timer|Timer for|Timer:|Countdown] {minutes} [minutes|min|mins]",
        "{minutes} [minute|min] timer",
        "I need a timer for {minutes} minutes.",
        "~[Wake|Alert|Beep] me in {minutes} minutes.",
        "~Time {minutes} minutes[ for me|]{more}.",
        "~Count down from {minutes} minutes.",
        "~Let me know when {minutes} minutes are [over|up|gone]{more}.",
        "~Put {minutes} minutes on the timer.",
        "My [tea|egg|cake|pasta] needs {minutes} minutes[. Set a timer|, start a timer].",
        "[I have|We have] {minutes} minutes. Start the [timer|clock].",
    ),
    (Result("The timer is set for {minutes} minutes."),),
)
ALARM = Kind(
    tuple("set_alarm create_alarm alarm wake_up add_alarm".split()),
    ("Set an alarm.", "Set an alarm at a time."),
    {"time": t.text("time time at alarm_time hour", t.clock)},
    (
        "~Set [an|the|my] alarm [for|at|to] {time}.",
        "~Wake me [up |]at {time}.",
        "[Alarm|Alarm for|Alarm at|Wake up call at] {time}",
        (
            "I [need|have|want] to [get up|wake up|be up] at {time}. [Set an alarm.|Set the "
            "alarm.|Wake me.]"
        ),
        "~[Create|Add|Make] an alarm [for|at] {time}.",
        "{time} alarm",
        "I need an alarm at {time}.",
        "~[Ring|Beep] at {time}.",
        "Can you wake me at {time}?",
        "My alarm should [ring|go off] at {time}.",
        "~Put the alarm [on|at] {time}.",
        "I want to be woken [up |]at {time}.",
    ),
    (Result("The alarm is set for {time}."),),
)
REMINDER = Kind(
    tuple("set_reminder add_reminder remind_me create_reminder remind".split()),
    ("Set a reminder.", "Remind the user of something."),
    {
        "text": t.quotable("text task text message what title", t.one_of("|".join(t.CHORES))),
        "date": t.text(
            "date when date day due",
            t.date,
            " {value}",
            ", {value}",
            " ({value})",
            ", when: {value}",
        ),
    },
    (
        "~Remind me to {text}.",
        "~[Set|Add|Create|Make] a reminder[:| to] {text}",
        "~Don't let me forget to {text}.",
        "Reminder: {text}{more}",
        "I [must not|should not|can't] forget to {text}{more}. Remind me.",
        "I need a reminder to {text}.",
        "[New|A] reminder{more}: {text}",
        "~Send me a reminder to {text}.",
        "~Tell me later to {text}.",
        "Can you remind me that I have to {text}{more}?",
        "I always forget to {text}. Remind me{more}.",
        "~Help me remember to {text}.",
    ),
    (Result("I will remind you to {text}."),),
    "todo",
)
TODO = Kind(
    tuple("add_todo add_task create_task new_task add_to_list".split()),
    ("Add a task to the todo list.", "Create a task."),
    {
        "title": t.quotable("title task title text name item", t.one_of("|".join(t.CHORES))),
        "priority": t.enum(
            "priority priority importance level",
            ("low medium high", "low normal high", "low high", "high urgent"),
            ", {value} priority",
            ", priority {value}",
            " (priority: {value})",
            " with {value} priority",
        ),
    },
    (
        "~[Add|Put] {title} [to|on] my [todo list|to-do list|list|tasks]{more}.",
        "[Todo|To do|New task|Task|Add task]: {title}{more}",
        "~[Create|Add|Make] a [new |]task: {title}{more}",
        "~[Add|Create] a todo: {title}{more}",
        "I [have|need] to {title}. [Put it on my list|Add it to my tasks|Make it a task]{more}.",
        "~Write down that I have to {title}.",
        "~Note a task: {title}{more}",
        "~Put this on my [todo list|list]: {title}{more}",
        "Add to my [todo list|tasks|list]: {title}{more}",
        "My next task is to {title}{more}. Add it.",
        "[A|One] new todo: {title}{more}",
        "One more thing to do: {title}{more}",
    ),
    (Result("The task was added."),),
    "todo",
)
NOTE = Kind(
    tuple("create_note add_note save_note take_note write_note".split()),
    ("Save a note.", "Write down a note."),
    {"text": t.quotable("text text content note body", t.phrase)},
    (
        "~[Save|Take|Make|Create|Write|Add] a note: {text}",
        "Note: {text}",
        "~[Write down|Note down|Jot down]: {text}",
        "~[Write|Put] {text} [in|into] my notes.",
        "~[Add|Save] {text} [to|in] my notes.",
        "New note: {text}",
        "I want to [note|write down|save] {text}.",
        "~Keep this in my notes: {text}",
        "~Write this down: {text}",
        "Can you note {text}?",
        "Remember this: {text}",
        "For my notes: {text}",
    ),
    (Result("The note was saved."),),
)
EVENT = Kind(
    tuple("create_event add_event schedule_event calendar_add new_event schedule_meeting".split()),
    ("Create a calendar event.", "Add an event to the calendar."),
    {
        "title": t.quotable("title title name event summary", t.event),
        "date": t.text("date date day when start", t.date),
        "time": t.text("time time start_time at hour", t.clock, " at {value}", ", {value}"),
    },
    (
        "~[Create|Add|Make] an event [called |named |]{title} [on|for] {date}.",
        "~[Schedule|Plan|Book] [a |the |]{title} [on|for] {date}.",
        "~[Put|Add] {title} [in|into|to|on] my calendar [on|for] {date}.",
        "[Event|New event|Calendar|Appointment]: {title}, {date}",
        (
            "I have [a |]{title} [on |]{date}. [Add it to my calendar.|Put it in the "
            "calendar.|Note it.]"
        ),
        "{date}: {title}[, add it to my calendar|]",
        "~[Create|Add] a calendar [entry|event] [called|named|for] {title} on {date}.",
        "~[Add|Create] an event. Title: {title}, date: {date}",
        "~Set up [a |]{title} for {date}.",
        "On {date} I have [a |]{title}. [Add it|Put it in the calendar].",
        "Can you put {title} in my calendar for {date}?",
        "[Calendar|New event], {date}: {title}",
    ),
    (Result("{title} is in your calendar for {date}."),),
)
PAY = Kind(
    tuple("send_money transfer_money pay transfer make_payment".split()),
    ("Send money to somebody.", "Transfer money."),
    {
        "to": t.text("to recipient to person receiver", t.person),
        "amount": t.number("amount amount sum value", t.amount),
    },
    (
        "~[Send|Pay|Transfer|Give] {to} {amount}[ dollars| euros|].",
        "~[Send|Pay|Transfer] {amount} [dollars|euros|pounds|] to {to}.",
        "[Payment|Transfer]: {amount} to {to}",
        "I owe {to} {amount}[ dollars| euros|]. [Pay it|Send it].",
        "I [want|need|have] to [pay|send|transfer] {to} {amount}[ dollars| euros|].",
        "{amount} to {to}",
        "~Make a [payment|transfer] of {amount} to {to}.",
        "~Wire {amount} to {to}.",
        "{to} gets {amount}[ dollars| euros|] from me.",
        "Can you [send|pay] {to} {amount}[ dollars| euros|]?",
        "[Pay|Send]: {to}, {amount}",
        "~Give {amount}[ dollars| euros|] to {to}.",
    ),
    (Result("{amount} was sent to {to}."),),
)
