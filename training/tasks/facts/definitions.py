"""A closed set of definitions, one short sentence each."""

from training.tasks.facts.closed import closed, table
from training.tasks.problem import Problem
from training.tasks.text.layouts import quoted
from training.wordings import Draw

# Names (the first ones with their article), and the definition.
DEFINITIONS = [
    (row[0].split(", "), row[1])
    for row in table(
        """
        a token|A token is a piece of text, such as a word or a part of one.
        a neural network|A neural network is layers of numbers that learn from examples.
        Python|Python is a programming language that is easy to read.
        an API|An API is a way for programs to talk to each other.
        JSON|JSON is a text format for data, with keys and values.
        a GPU|A GPU is a chip that does many computations at once.
        a CPU|A CPU is the main chip that runs the programs of a computer.
        a diffusion model, diffusion|A diffusion model removes noise step by step to make text.
        attention|Attention lets a model weigh which other tokens matter for each token.
        a transformer|A transformer is a neural network that is built of attention layers.
        throughput|Throughput is how much work is done in a second.
        latency|Latency is the time that you wait for an answer.
        a language model|A language model is a program that predicts text.
        an LLM, a large language model|An LLM is a large program that predicts text.
        machine learning|Machine learning means that a program learns from examples.
        artificial intelligence, AI|AI is the art of making programs that do what needs thinking.
        a prompt|A prompt is the text that you give to a model.
        a model parameter|A model parameter is a number that a model learns.
        a weight|A weight is a number that a model learns.
        training|Training means changing the weights of a model until its answers fit examples.
        inference|Inference means running a trained model to get answers.
        a tokenizer|A tokenizer splits text into tokens.
        an embedding|An embedding is a list of numbers that stands for a token or a text.
        a mask, a mask token|A mask is a placeholder for a token that is not known yet.
        a batch|A batch is a group of requests that are computed together.
        a KV cache, the KV cache|A KV cache keeps the keys and values of earlier tokens for reuse.
        quantization|Quantization stores numbers in fewer bits to save memory.
        temperature|Temperature says how random the choice of tokens is.
        sampling|Sampling means choosing a token at random by its probability.
        a variable|A variable is a name for a value in a program.
        a function|A function is a piece of code with a name that takes inputs and returns a result.
        a loop|A loop is code that runs again and again.
        a string|A string is a piece of text in a program.
        an algorithm|An algorithm is a list of steps that solves a problem.
        recursion|Recursion means that a function calls itself.
        a database|A database is a place where a program keeps data.
        SQL|SQL is a language for asking databases.
        HTML|HTML is the language of web pages.
        HTTP|HTTP is the way that browsers and servers talk.
        a server|A server is a program that answers requests of other programs.
        a computer|A computer is a machine that runs programs.
        a program|A program is a list of instructions for a computer.
        the internet|The internet is a network that connects computers all over the world.
        an operating system|An operating system is the program that runs all others on a computer.
        Linux|Linux is a free operating system.
        open source|Open source means that everybody may read and change the code.
        a bug|A bug is a mistake in a program.
        a compiler|A compiler turns source code into code that a machine can run.
        Docker|Docker runs programs in containers, each with all that it needs.
        a bit|A bit is a 0 or a 1.
        a byte|A byte is 8 bits.
        a prime number|A prime number can only be divided by 1 and itself.
        an even number|An even number can be divided by 2.
        an odd number|An odd number cannot be divided by 2.
        a palindrome|A palindrome is a word that reads the same backwards.
        a noun|A noun is a word for a person, a place or a thing.
        a verb|A verb is a word for an action.
        an adjective|An adjective is a word that describes a noun.
        a vowel|A vowel is one of the letters a, e, i, o and u.
        a synonym|A synonym is a word that means the same as another.
        gravity|Gravity is the force that pulls things to the ground.
        photosynthesis|Photosynthesis is how plants make food from light, water and air.
        an atom|An atom is a tiny building block of matter.
        water, H2O|Water is H2O: two parts of hydrogen and one of oxygen.
        a planet|A planet is a large body that goes around a star.
        a star|A star is a huge ball of hot gas that shines.
        the sun|The sun is the star that our planet goes around.
        the moon|The moon is a body of rock that goes around the Earth.
        the Earth, Earth|The Earth is the planet that we live on.
        a dog|A dog is a friendly animal that barks.
        a cat|A cat is a small animal that purrs and catches mice.
        love|Love is a strong feeling of care for somebody.
        happiness|Happiness is the feeling when all is well.
        a triangle|A triangle is a shape with three sides.
        a circle|A circle is a round shape.
        money|Money is what people use to pay for things.
        music|Music is sound that is made to be heard with pleasure.
        """
    )
]
DEFINITION = (
    "[What is|What's|whats] {thing}?",
    "[What is|What's] {thing}, [in one sentence|in short|briefly|exactly|in simple words]?",
    "[What are|what r] {many}?",
    "~Define {thing}.",
    "~Define {quoted}.",
    "~[Explain|Describe] {thing}[.| briefly.| in one sentence.| in simple words.| to me.]",
    "~Explain [what {thing} is|in simple words what {thing} is].",
    "What does {quoted} mean?",
    "What does the [word|term] {quoted} mean?",
    "[definition of|meaning of|Define:|The definition of] {bare}[?|]",
    "{bare} [definition|meaning|explained][?|]",
    "{thing}?",
    "~[Tell|Teach] me what {thing} is.",
    "~Give me a [short |]definition of {thing}.",
    "[What is|What's] the [definition|meaning] of {quoted}?",
    "[What is meant by|What do you mean by|What do people mean by] {quoted}?",
    "[Do you know|Can you tell me|Can you explain] what {thing} is?",
    "How would you [define|explain|describe] {thing}?",
    "explain {thing} like I'm five",
    "{bare}: what is [that|it]?",
    "I do not know what {thing} is. [Explain it.|What is it?|Can you explain?]",
    "[What exactly is|So what is|And what is] {thing}?",
    "~Tell me [something |]about {thing}.",
    "What do you know about {thing}?",
    "I [keep hearing|often hear] about {thing}. What is it?",
)


def definition(draw: Draw) -> Problem:
    """The definition of a thing."""
    names, answer = draw.pick(DEFINITIONS)
    thing = draw.pick(names)
    bare = thing.split(maxsplit=1)[1] if thing.startswith(("a ", "an ", "the ")) else thing
    counted = thing.startswith(("a ", "an "))
    many = bare if not counted or bare.endswith(("x", "s")) else _plural(bare)
    if draw.chance(0.2):
        thing, bare, many = thing.lower(), bare.lower(), many.lower()
    templates = (
        DEFINITION if counted else tuple(text for text in DEFINITION if "{many}" not in text)
    )
    request = draw.say(templates, thing=thing, bare=bare, many=many, quoted=quoted(draw, bare))
    return closed("definition", f"definition:{names[0]}", request, answer)


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("h", "x", "s")) else f"{noun}s"
