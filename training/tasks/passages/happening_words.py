"""Words of everyday happenings: verbs with their objects, places, times, company and reasons."""

from training.tasks.words import ANIMALS, CITIES, DAYS, FOODS, FRUITS, ITEMS, MONTHS, VEGETABLES

DISHES = (*FOODS, "a salad", "a pie", "an omelette", "fried eggs", "a sandwich", "apple cake")
GOODS = (
    *("a bike", "a lamp", "two tickets", "a red scarf", "an old clock", "a used car", "new shoes"),
    *("a birthday present", "a winter coat", "a map of the town", "a bag of rice", "some flowers"),
    *("a phone", "a pair of gloves", "an umbrella", "a guitar", "a box of nails", "a cookbook"),
)
TEXTS = (
    *("a letter", "a long email", "a poem", "a report", "the first chapter", "a postcard"),
    *("a short story", "a book about whales", "the newspaper", "an article", "a shopping list"),
)
MACHINES = (
    *("the printer", "the sink", "the washing machine", "the old radio", "the front door"),
    *("a broken chair", "the heating", "the roof", "the projector", "the lift", "the fence"),
)
ROOMS = (
    *("the kitchen", "the garage", "the living room", "the windows", "the bathroom", "the stairs"),
    *("the attic", "the office", "the fridge", "the whole house", "the hall"),
)
SUBJECTS = (
    *("chemistry", "history", "law", "medicine", "physics", "music", "art", "biology", "French"),
    *("computer science", "economics", "geography", "maths", "German", "engineering"),
)
TREES = tuple(f"{fruit} trees" for fruit in FRUITS)
BEASTS = tuple(f"a {animal}" for animal in ANIMALS if animal[0] not in "aeiou")
LOST = (
    *("a ring", "the keys", "a wallet", "a glove", "the car keys", "an earring", "the map"),
    *("a blue umbrella", "a passport", "the remote control", "a notebook", "a suitcase"),
)
GAMES = ("the match", "the race", "a prize", "the first game", "a medal", "the chess tournament")
SHOWS = ("a film", "the news", "a football match", "a play", "a documentary", "the sunset")
SONGS = ("a song", "an old ballad", "a lullaby", "the national anthem", "two Christmas carols")
EVENTS = (
    *("the meeting", "the party", "the trip", "the concert", "the wedding", "the picnic"),
    *("the launch", "the exam", "the lesson", "the appointment", "the interview", "the tour"),
)
KIN = (
    *("brother", "sister", "aunt", "uncle", "neighbor", "boss", "teacher", "cousin", "roommate"),
    *("colleague", "landlord", "grandmother", "grandfather", "friend", "coach", "dentist"),
)
# Past, infinitive, and objects.
DONE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("bought", "buy", (*GOODS, *DISHES)),
    ("sold", "sell", GOODS),
    ("ordered", "order", (*DISHES, *GOODS)),
    ("cooked", "cook", DISHES),
    ("ate", "eat", (*DISHES, *FRUITS)),
    ("baked", "bake", ("a cake", "bread", "cookies", "an apple pie", "rolls", "a pizza")),
    ("made", "make", (*DISHES, "a paper boat", "a mask", "a kite", "coffee", "tea")),
    ("planted", "plant", (*TREES, "tomatoes", "roses", "tulips", "sunflowers", "carrots")),
    ("grew", "grow", (*VEGETABLES, "tomatoes", "herbs", "pumpkins")),
    ("picked", "pick", ("apples", "cherries", "flowers", "mushrooms", "plums", "berries")),
    ("repaired", "repair", MACHINES),
    ("fixed", "fix", MACHINES),
    ("broke", "break", ("a vase", "the window", "a plate", "the projector", "a leg", "a cup")),
    ("cleaned", "clean", ROOMS),
    ("painted", "paint", (*ROOMS, "the fence", "a portrait", "the wall green")),
    ("read", "read", TEXTS),
    ("wrote", "write", TEXTS),
    ("sent", "send", (*TEXTS, "a parcel", "a photo", "an invitation")),
    ("got", "get", (*TEXTS, *GOODS, "a new job", "a puppy")),
    ("received", "receive", (*TEXTS, "a parcel", "an award", "a gift")),
    ("studied", "study", SUBJECTS),
    ("taught", "teach", SUBJECTS),
    ("learned", "learn", (*SUBJECTS, "to swim", "to drive", "the piano", "a new word")),
    ("lost", "lose", LOST),
    ("found", "find", (*LOST, *BEASTS, "a coin", "a shell")),
    ("forgot", "forget", LOST),
    ("borrowed", "borrow", (*GOODS, "a ladder", "a pen", "a tent")),
    ("returned", "return", (*GOODS, "the library books", "the ladder")),
    ("saw", "see", (*BEASTS, "a rainbow", "a shooting star", *SHOWS)),
    ("fed", "feed", (*BEASTS, "the cat", "the ducks", "the horses")),
    ("photographed", "photograph", (*BEASTS, "the bridge", "the mountains")),
    ("won", "win", GAMES),
    ("watched", "watch", SHOWS),
    ("sang", "sing", SONGS),
    ("cancelled", "cancel", EVENTS),
    ("missed", "miss", (*EVENTS, "the bus", "the last train", "the plane")),
    ("planned", "plan", EVENTS),
    ("moved", "move", ("the sofa", "the plants", "the desk", "the boxes", "the piano")),
    ("carried", "carry", ("the bags", "a ladder", "the boxes", "the baby", "a suitcase")),
    ("washed", "wash", ("the car", "the dishes", "the dog", "the curtains", "the shirts")),
    ("wore", "wear", ("a red hat", "a long coat", "a suit", "sunglasses", "old boots")),
    ("drank", "drink", ("tea", "a glass of milk", "lemonade", "two cups of coffee", "water")),
    ("opened", "open", ("a bakery", "the gate", "a small shop", "the window", "a bank account")),
    ("closed", "close", ("the gate", "the shop", "the shutters", "the door")),
    ("brought", "bring", (*DISHES, "a cake", "the documents", "a blanket")),
    ("stole", "steal", ("a painting", "a necklace", "the bike", "some apples", "a car")),
    ("hid", "hide", ("the key", "the presents", "the money", "a letter", "the eggs")),
    ("built", "build", ("a tree house", "a shed", "a sand castle", "a wall", "a model ship")),
    ("called", "call", ("the doctor", "the police", "the bank", "a taxi", "the plumber")),
    ("visited", "visit", ("the museum", "the zoo", "a castle", "an old friend", *CITIES)),
    ("rented", "rent", ("a car", "a boat", "a flat", "two bikes", "a cabin")),
)
WENT = (
    *(("moved", "move"), ("went", "go"), ("travelled", "travel"), ("drove", "drive")),
    *(("flew", "fly"), ("walked", "walk"), ("ran", "run"), ("returned", "return")),
    *(("came back", "come back"), ("hurried", "hurry"), ("rode", "ride"), ("sailed", "sail")),
)
GOALS = (
    *(f"to {city}" for city in CITIES),
    *("to the lake", "to the station", "to the market", "to school", "to the beach", "to work"),
    *("to the hospital", "to the mountains", "to the harbor", "to the library", "to the village"),
)
# Past and past participle are one word in a passive.
MADE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("built", "build", ("old bridge", "castle", "tower", "school", "town hall", "lighthouse")),
    ("designed", "design", ("logo", "stadium", "garden", "new library", "dress", "station")),
    ("painted", "paint", ("portrait", "ceiling", "mural", "picture in the hall")),
    ("founded", "found", ("club", "company", "newspaper", "village", "choir", "hospital")),
    ("invented", "invent", ("machine", "game", "recipe", "lock", "toy")),
    ("discovered", "discover", ("cave", "island", "comet", "fossil", "lake")),
    ("composed", "compose", ("song", "anthem", "opera", "film music")),
    ("repaired", "repair", ("clock", "roof", "bridge", "organ", "well")),
    ("opened", "open", ("bakery", "exhibition", "hotel", "new pool", "museum")),
)
COUNTED = (*ITEMS, "tomato plants", "books", "people", "pages", "euros", "trees", "seeds", "photos")
PEOPLE = (
    *(f"my {kin}" for kin in KIN),
    *(f"the {job}" for job in ("teacher", "waiter", "plumber", "doctor", "mayor", "chef", "guide")),
    *("Grandma", "Grandpa", "Mr. Hill", "Mrs. Baker", "Dr. Lane", "the red team", "the children"),
    *("our neighbors", "the company", "the library", "the school", "the old man", "the girl"),
)
COMPANY = tuple(f"{whose} {kin}" for kin in KIN for whose in ("the", "his", "her"))
PLACES = (
    *(f"in {city}" for city in CITIES),
    *("at the market", "in the kitchen", "at school", "near the river", "behind the house"),
    *("on the beach", "in the garden", "at the station", "in the library", "under the bridge"),
    *("at work", "in a small shop", "on the roof", "at the airport", "in the park", "online"),
    *("next to the church", "in the attic", "at home", "on the train", "in front of the bank"),
)
TIMES = (
    *("yesterday", "last week", "last spring", "last night", "this morning", "two days ago"),
    *("in the evening", "after lunch", "before breakfast", "at noon", "at midnight", "in winter"),
    *("on the weekend", "a year ago", "after school", "at sunrise", "during the break", "in May"),
)
DATES = (
    *("in {year}", "in {year}", "at {hour}", "at {hour}"),
    *(f"on {day}" for day in DAYS),
    *(f"on {month} {{day}}" for month in MONTHS),
    *(f"on {day} at {{hour}}" for day in DAYS),
)
REASONS = (
    *("it was raining", "the battery was empty", "the projector broke", "the shop was closed"),
    *("it was too cold", "the train was late", "the bus did not come", "the road was blocked"),
    *("the supplier was late", "the price was too high", "the old one was broken", "it was free"),
    *("the weather was bad", "there was no milk left", "the power went out", "the key was lost"),
    *("{x} was ill", "{x} asked for it", "{x} forgot the tickets", "{x} had a birthday"),
    *("the baby was asleep", "the room was too small", "the water was warm", "it smelled good"),
    *("the doctor said so", "the exam was near", "the tire was flat", "the dog was hungry"),
    *("there was a storm", "everyone was hungry", "the museum was full", "the lamp was too dim"),
    *("the coffee was cold", "the music was too loud", "it was on sale", "{x} needed help"),
)
