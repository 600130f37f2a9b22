"""Parts of stories: heroes with all that belongs to them, and the phrases of requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.tasks import words


@dataclass(frozen=True, slots=True)
class Hero:
    """The parts of a hero's story that nobody asked for otherwise."""

    name: str
    trait: str
    place: str
    thing: str
    color: str
    other: str
    friend: str
    event: str


_TABLE = """
dog Max happy garden ball red cat Lily played
cat Mia curious house bell golden mouse Tim found
fox Felix clever forest key golden rabbit Rosa found
bear Bruno kind forest bell red bee Bella found
rabbit Rosa shy garden hat blue duck Daisy lost
mouse Tim little barn cake yellow cat Mia found
bird Kiki funny tree bell silver fish Finn found
horse Star brave farm ribbon blue dog Max lost
duck Daisy funny lake boat yellow frog Fred found
frog Fred quiet pond hat green duck Daisy lost
pig Penny happy farm ball pink hen Henny played
goat Greta curious valley bell silver sheep Sally found
lion Leo brave desert drum red mouse Tim played
owl Olga wise forest book brown fox Felix found
turtle Toby lazy river hat green frog Fred lost
squirrel Sam little park coin golden bird Kiki found
cow Clara kind farm bell silver goat Greta lost
sheep Sally shy meadow scarf white dog Max lost
hen Henny lazy barn cup white duck Daisy found
wolf Wally lonely forest drum black bear Bruno played
tiger Tara proud jungle kite orange monkey Momo found
zebra Zoe quiet meadow umbrella black giraffe Gina lost
monkey Momo funny jungle drum green parrot Polly played
elephant Ella gentle village balloon blue mouse Tim found
giraffe Gina tall meadow scarf yellow zebra Zoe lost
hamster Hugo tiny house button red cat Mia found
parrot Polly funny jungle whistle green monkey Momo found
penguin Pingu brave zoo kite black seal Sila found
hedgehog Henry shy garden apple red rabbit Rosa found
deer Dina gentle forest bell white squirrel Sam found
donkey Dora lazy farm hat gray horse Star lost
camel Carl quiet desert map brown snake Sina found
snake Sina curious desert ring golden lizard Lizzy found
lizard Lizzy little cave stone green snake Sina found
fish Finn happy lake shell pink whale Willy found
whale Willy gentle ocean balloon blue dolphin Delia found
dolphin Delia happy ocean ball blue whale Willy played
seal Sila funny zoo ball white penguin Pingu played
bee Bella little garden flower yellow bear Bruno found
ant Andy strong garden cookie brown bee Bella found
puppy Rex happy garden ball blue kitten Nala played
kitten Nala little house bell pink puppy Rex played
panda Pandora lazy forest drum black monkey Momo played
kangaroo Kira strong desert kite red rabbit Rosa found
crow Conny clever tree ring silver owl Olga found
butterfly Bea gentle garden flower purple bee Bella found
spider Susi quiet house button black ant Andy lost
dinosaur Dino big jungle stone green lizard Lizzy found
dragon Drago lonely cave crown golden knight Karl found
robot Robby kind village lamp silver cat Mia found
unicorn Una gentle forest crown silver fox Felix found
princess Paula brave castle crown golden frog Fred lost
prince Peter kind castle ring silver horse Star lost
knight Karl brave castle map white dragon Drago found
king Arthur old castle crown golden queen Anna lost
queen Anna wise castle mirror silver king Arthur found
wizard Merlin wise tower book blue owl Olga lost
witch Wanda funny forest hat purple cat Mia lost
pirate Pete brave ship map brown parrot Polly found
fairy Fay tiny forest lamp golden butterfly Bea found
ghost Gus shy castle lamp white owl Olga found
monster Mo friendly cave cookie green girl Emma found
girl Emma curious village kite red boy Tom found
boy Tom happy village ball blue girl Emma played
farmer Frank kind farm hat brown cow Clara lost
teacher Tina kind town book green girl Emma lost
astronaut Alice brave town stone gray robot Robby found
"""
STORY_HEROES: Mapping[str, Hero] = {
    line.split()[0]: Hero(*line.split()[1:]) for line in _TABLE.strip().splitlines()
}
DEFAULT_HERO = "fox"
OTHER_HEROES = (
    "llama goose swan crab shark octopus snail worm moose bison otter beaver badger raccoon skunk "
    "koala sloth hippo rhino crocodile alligator gorilla cheetah leopard panther hyena mole bat "
    "eagle hawk pigeon sparrow rooster turkey peacock flamingo chicken calf lamb foal pony lobster "
    "elf giant troll mermaid vampire superhero ninja clown cowboy soldier sailor baker tailor cook "
    "doctor nurse detective scientist painter man woman child baby grandmother grandfather tree "
    "cloud star snowman train teapot candle toaster sunflower plumber pilot programmer student "
    "hero stranger thief giantess goblin dwarf mammoth dino bug caterpillar ladybug walrus lynx"
).split()
"""Heroes that bring no parts of their own: their stories are those of the default hero."""
SIDEKICKS = tuple(words.ANIMALS)
TRAITS = tuple(
    dict.fromkeys(
        [
            *words.TRAITS,
            *"small big tiny young old tall sad friendly proud hungry sleepy strong wise".split(),
            *"gentle lonely fast slow smart angry nice cute silly grumpy scared".split(),
        ]
    )
)
HEROES_OF_TRAITS = dict(
    zip(
        TRAITS,
        "mouse knight bear dog rabbit fox turtle cat frog duck squirrel dinosaur hamster puppy "
        "king giraffe ghost monster tiger pig donkey ant owl deer wolf horse turtle crow lion "
        "cow kitten monkey goat sheep".split(),
        strict=True,
    )
)
THINGS = tuple(
    dict.fromkeys(
        [
            *words.THINGS,
            *"ring coin cup pen shell stone feather button map umbrella whistle mirror".split(),
            *"crown apple cookie balloon scarf flower ribbon box bike doll car letter".split(),
        ]
    )
)
PLACES = (
    *"forest garden village farm park river house barn lake castle cave meadow tree pond".split(),
    *"desert jungle town tower city zoo school cottage ship swamp valley hotel ocean".split(),
)
HEROES = (
    "{an_animal}",
    "{an_animal}",
    "{a_trait} {animal}",
    "{a_trait} {animal}",
    "{an_animal} [named|called] {name}",
    "{an_animal} [named|called] {name}",
    "{a_trait} {animal} [named|called] {name}",
    "{a_trait} {animal} [named|called] {name}",
    "{an_animal} whose name is {name}",
    "{a_trait} {animal} whose name is {name}",
    "{name} the {animal}",
    "{name}, {a_trait} {animal}",
    "{name}, {an_animal}",
    "{name} the {trait} {animal}",
    "the {trait} {animal} {name}",
    "the {animal} {name}",
    "my {animal} {name}",
    "my {trait} {animal} {name}",
    "{name}",
    "{an_animal} with the name {name}",
    "{name}, the {trait} {animal}",
    "the {animal}",
    "{many_of_animal}",
    "{many_of_animal}",
    "{a_trait} animal",
    "somebody {trait}",
    "{a_color} {thing}",
    "{a_thing}",
)
PLOTS = {
    "found": (
        "who [finds|found] {thing}",
        "[that|which] [finds|found] {thing}",
        "finding {thing}",
        "who [finds|found|discovers] {a_thing}",
        "and how [she|he|it] [finds|found] {thing}",
        "[discovering|who discovers|who discovered] {thing}",
        "who [one day|once] found {thing}",
        "who comes upon {thing}",
    ),
    "lost": (
        "who [loses|lost] {thing}",
        "[that|which] [loses|lost] {thing}",
        "losing {thing}",
        "who [loses|lost] {a_thing}",
        "and how [she|he|it] [loses|lost] {thing}",
        "who [cannot|can't] find {a_thing}",
        "who has lost {thing}",
        "and {a_thing} that gets lost",
    ),
    "played": (
        "who [plays|played] with {thing}",
        "[that|which] [plays|played] with {thing}",
        "playing with {thing}",
        "who [likes|loves] to play with {thing}",
        "who [plays|played] with {a_thing}",
        "who always plays with {thing}",
        "and how [she|he|it] plays with {thing}",
        "who has fun with {thing}",
    ),
    "and": (
        "and {thing}",
        "and {a_thing}",
        "with {thing}",
        "with {a_thing}",
        "who has {thing}",
        "who [owns|wants|likes] {thing}",
        "and [the story of |]{thing}",
        "together with {thing}",
    ),
}
HOMES = {
    "in": (
        "[in|from] {place}",
        "who [lives|lived] in {place}",
        "that lives in {place}",
        "living in {place}",
        "whose home is in {place}",
        "with a home in {place}",
    ),
    "near": (
        "near {place}",
        "who [lives|lived] near {place}",
        "that lives near {place}",
        "living near {place}",
        "whose home is near {place}",
        "with a home near {place}",
    ),
}
FRIENDS = (
    "and [a friend|a friend called|a friend named] {friend}",
    "and {friend} the {other}",
    "who meets {an_other}",
    "who meets {an_other} [named|called] {friend}",
    "and {an_other}",
    "and {an_other} [named|called] {friend}",
    "and [her|his|its] friend {friend}",
    "and [her|his|its] friend, {an_other}",
    "who makes friends with {an_other}",
    "who becomes the friend of {an_other} [named|called] {friend}",
)
FRAMES = (
    "~Tell me a story about {x}.",
    "~Tell [me|us] a [short|little|small|nice|cute|fun] story about {x}.",
    "~[Write|Write me] a [short|little|tiny|brief|children's|kids'|nice|] story about {x}.",
    "~[Tell|Write|Make up|Invent|Create] a [short |]story [with|featuring|starring] {x}.",
    "~[Make up|Invent|Create|Compose|Generate|Come up with] a [short |]story about {x}.",
    "~[Tell|Read|Give] me a [bedtime|good night|goodnight] story about {x}.",
    "~[Write|Tell me|Make up] a [fairy tale|tale|fable|small tale] about {x}.",
    "[A|a|] [short |little |]story about {x}[.|]",
    "[Story|Short story|Story about|Story time|Topic of the story|Write a story]: {x}",
    "[I want|I'd like|I would like|I need] a [short |]story about {x}.",
    "[I want|I'd like|I would like] to [hear|read] a [short |]story about {x}.",
    "[Do you know|Do you have|Have you got] a story about {x}?",
    "[How about|What about] a [short |]story about {x}?",
    "Can I [have|hear|get] a story about {x}?",
    "[Bedtime story|Fairy tale|A tale|Tale|Fable] about {x}",
    "~Tell me about {x} in a [short |]story.",
    "My [daughter|son|kid|child|niece] wants a story about {x}.",
    "~Tell my [daughter|son|kids|children] a story about {x}.",
    "[gimme|give me] a story about {x}",
    "~Write [a few sentences|a few lines|five sentences|a paragraph] of a story about {x}.",
    "~Write a story. It [should be|is] about {x}.",
    "~Tell a story. [Hero|The hero|Main character]: {x}",
    "~Write a story in which the hero is {x}.",
    "[Once upon a time story|Kids story|Children's story|Short tale] about {x}",
    "The story of {x}[.|, please|: tell it to me|]",
    "~Tell me the story of {x}.",
    "~[Write|Tell] something about {x}, as a story.",
    "Is there a story about {x}? Tell [me|it].",
)
NO_PARTS = (
    "~Tell me a [funny|scary|happy|cute|good|new|different|nice] story.",
    "~[Write|Make up|Invent] a [funny|happy|cute|good|new|different] story[ for kids| for me|].",
    "~Tell me a story about [friendship|friends|two friends|animals|kindness|a good friend].",
    "~Write a [short |]story [about friendship|about animals|for children|with a happy ending].",
    "[Animal story|A story for kids|A story about friends|Story with a happy end]",
    "~Tell me a story.",
    "~[Tell|Write|Make up|Invent|Give me] a [short |little |nice |]story.",
    "[Story|Short story|A story|Bedtime story|story time]",
    "[I want|I'd like|I would like|I need] a [short |bedtime |]story.",
    "[I want|I'd like] to [hear|read] a [short |]story.",
    "[Do you know|Do you have|Have you got] a [good |nice |]story?",
    "Can you tell [stories|me a story|a story]?",
    "[How about|What about] a story?",
    "~[Read|Tell] me a [bedtime|goodnight|fairy] [story|tale].",
    "~Write me [a story|a short story|a tale|a fairy tale].",
    "[gimme|give me] a story",
    "I'm bored[,|.] tell me a story[.|]",
    "~Entertain me with a story.",
    "[Any|Some] story[, please|]",
    "Once upon a time",
    "~Tell me a story about [anything|something|whatever you like|an animal].",
    "~Surprise me with a story.",
    "[My kid|My daughter|My son] wants a story.",
)
