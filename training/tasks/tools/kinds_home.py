"""Tools for the home: lights, music, doors."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Result

MUSIC = Kind(
    tuple("play_music play_song play music_player start_music".split()),
    ("Play a song.", "Play music."),
    {
        "song": t.quotable("song song title track name", t.song),
        "artist": t.text("artist artist singer band by", t.person, " by {value}", " by {value}"),
        "loop": t.flag("loop repeat loop", " on repeat", ", on repeat", " in a loop"),
    },
    (
        "~[Play|Put on|Start] [the song |]{song}.",
        "~Play {song}[ for me| now|]{more}.",
        "I [want|would like] to [hear|listen to] {song}.",
        "~Let me hear [the song |]{song}.",
        "[Play|Song|Music]: {song}{more}",
        "~Turn on [the song |the music, |]{song}.",
        "Can I [hear|listen to] {song}{more}?",
        "play song {song}",
        "~Start the song {song}.",
        "~Put {song} on.",
        "Do you have {song}? Play it{more}.",
        "I love {song}. Play it{more}.",
    ),
    (Result("Now playing {song}."),),
)
VOLUME = Kind(
    tuple("set_volume volume change_volume adjust_volume".split()),
    ("Set the volume.", "Change the volume in percent."),
    {
        "level": t.whole(
            "level volume level percent value",
            lambda draw: draw.pick((0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 100)),
        )
    },
    (
        "~[Set|Turn|Change] the volume to {level}[ percent|%|].",
        "[Volume|Volume to|Volume at|Sound to] {level}[ percent|%|]",
        "~Make the [volume|sound|music] {level}[ percent|%|].",
        "~[Put|Bring] the [sound|volume] [at|to] {level}.",
        "I want the [volume|sound] at {level}[ percent|%|].",
        "~Play at volume {level}.",
        "Too loud! [Volume|Set it] to {level}.",
        "~Set the [sound|music|speaker] to {level}[ percent|%|].",
        "~Adjust the volume to {level}[ percent|%|].",
        "[Volume|Sound]: {level}",
        "The volume should be {level}[ percent|%|].",
        "Can I have the volume at {level}[ percent|%|]?",
    ),
    (Result("The volume is {level}."),),
)
LIGHT = Kind(
    tuple("turn_on_light light_on lights_on turn_on_lights switch_on_light".split()),
    ("Turn on the light in a room.", "Light on."),
    {"room": t.text("room room location place area", t.one_of("|".join(t.ROOMS)))},
    (
        "~[Turn|Switch] on the [light|lights] in the {room}.",
        "~[Turn|Switch] the {room} [light|lights] on.",
        "[Light|Lights] on in the {room}",
        "{room} [light|lights] on",
        "It is [too |]dark in the {room}.",
        "I need [some |]light in the {room}.",
        "~Light up the {room}.",
        "~[Put on|Turn on|Switch on] the {room} [light|lights|lamp].",
        "~Light the {room}.",
        "I can't see anything in the {room}.",
        "The {room} needs [some |]light.",
        "[Lights|Light], {room}",
        "~Make it bright in the {room}.",
    ),
    (Result("The light in the {room} is on."),),
    "set_light set_light_color",
)
SET_LIGHT = Kind(
    tuple("set_light switch_light control_light toggle_light set_lights".split()),
    ("Switch a light on or off.", "Control the light of a room."),
    {
        "room": t.text("room room location place area", t.one_of("|".join(t.ROOMS))),
        "on": t.switch("on on enabled state power"),
    },
    (
        "~[Turn|Switch] {on} the [light|lights] in the {room}.",
        "~[Turn|Switch] the {room} [light|lights] {on}.",
        "[Light|Lights] {on} in the {room}",
        "{room} [light|lights] {on}",
        "~[Turn|Switch] {on} the {room} [light|lights|lamp].",
        "I want the [light|lights] in the {room} {on}.",
        "The {room} [light|lights] should be {on}.",
        "{room}: [light|lights] {on}",
        "~Set the {room} [light|lights] to {on}.",
        "~Put the {room} [light|lights] {on}.",
        "{on}: [light|lights] in the {room}",
        "Can the {room} [light|lights] be {on}?",
        "[Light|Lights], {room}, {on}",
    ),
    (Result("The light in the {room} is set."),),
)
LIGHT_COLOR = Kind(
    tuple("set_light_color light_color change_color set_color".split()),
    ("Set the color of the lights.", "Change the light color."),
    {
        "color": t.text("color color colour", t.color),
        "brightness": t.whole(
            "brightness brightness level dim",
            lambda draw: 10 * draw.rng.randint(1, 10),
            ", brightness {value}",
            " at {value} percent",
            " at {value}%",
        ),
    },
    (
        "~[Make|Turn] the [light|lights] {color}.",
        "~[Set|Change|Switch] the [light|lights] to {color}.",
        "~Set the [light |lamp |][color|colour] to {color}.",
        "{color} [light|lights]",
        "I want {color} [light|lights].",
        "[Light|Lights|Lamp]: {color}",
        "[Can the lights|Could the lamp] be {color}?",
        "~Give me {color} light.",
        "I would like the [lamp|light|lights] in {color}.",
        "[Light|Lights|Lamp] in {color}",
        "~Color the lights {color}.",
        "The [light|lamp] should be {color}.",
    ),
    (Result("The light is {color}."),),
)
THERMOSTAT = Kind(
    tuple("set_temperature set_thermostat thermostat heating adjust_temperature".split()),
    ("Set the thermostat.", "Set the heating of the home."),
    {
        "degrees": t.number(
            "temperature degrees temperature target value", lambda draw: draw.rng.randint(14, 28)
        ),
        "room": t.text(
            "room room zone",
            t.one_of("|".join(t.ROOMS)),
            " in the {value}",
            ", {value}",
            " for the {value}",
        ),
    },
    (
        "~[Set|Turn|Change] the [thermostat|heating|temperature|heat] to {degrees}[ degrees|].",
        "~Make it {degrees} degrees[ here|]{more}.",
        "[Thermostat|Heating|Heat] to {degrees}[ degrees|]",
        "~[Heat|Warm] [up |]to {degrees} degrees{more}.",
        "I want {degrees} degrees.",
        "It is [too cold|cold|freezing]. Set it to {degrees}[ degrees|].",
        "{degrees} degrees{more}[ please|]",
        "~Put the [thermostat|heating] [at|to|on] {degrees}[ degrees|].",
        "The [thermostat|heating|temperature] should be {degrees}[ degrees|].",
        "~Adjust the [thermostat|heating] to {degrees}.",
        "Can we have {degrees} degrees{more}?",
        "I feel [cold|warm]. {degrees} degrees{more}.",
    ),
    (Result("The temperature is set to {degrees} degrees."),),
)
DOOR = Kind(
    tuple("lock_door lock door_lock lock_the_door".split()),
    ("Lock a door.", "Lock one of the doors."),
    {
        "door": t.text(
            "door door name which",
            t.one_of(
                "front door|back door|garage|garden door|cellar door|main door|side "
                "door|gate|balcony door|shed"
            ),
        )
    },
    (
        "~[Lock|Lock up|Close and lock] the {door}.",
        "Is the {door} locked? [If not, lock it.|Lock it.]",
        "The {door} [should|must|has to] be locked.",
        "I [want|need] the {door} locked.",
        "~Make sure the {door} is locked.",
        "I forgot to lock the {door}.",
        "Did I lock the {door}? Lock it.",
        "~Secure the {door}.",
        "[Door|Lock]: {door}",
        "Can you lock the {door}?",
        "~Shut and lock the {door}.",
    ),
    (Result("The {door} is locked."),),
)
ROBOT = Kind(
    tuple("move_robot move drive_robot go walk".split()),
    ("Move the robot.", "Move in a direction."),
    {
        "direction": t.enum(
            "direction direction dir",
            (
                "forward backward left right",
                "left right",
                "up down left right",
                "north south east west",
            ),
        ),
        "steps": t.whole("steps distance steps count meters", t.up_to(5, 10, 50)),
    },
    (
        "~[Move|Go|Walk|Drive|Step] {direction} {steps}[ steps| meters|].",
        "~[Move|Go|Walk|Drive] {steps} [steps|meters|] {direction}.",
        "{steps} [steps |meters |]{direction}",
        "{direction} {steps}",
        "~Move the robot {direction} by {steps}[ steps|].",
        "The robot should [go|move] {steps} [steps |]{direction}.",
        "I want the robot to [go|move] {direction} {steps} [steps|meters].",
        "Robot, [go|move] {direction} {steps}[ steps|].",
        "~Take {steps} steps {direction}.",
        "Can the robot [go|move] {steps} [steps |]{direction}?",
        "~Send the robot {steps} steps {direction}.",
        "[Robot|Move|Go]: {direction}, {steps}",
    ),
    (Result("The robot moved {direction} by {steps}."),),
)
