"""Slot words of requests that are beyond the model."""


def _lines(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in " ".join(text.split()).split(","))


SLOTS: dict[str, tuple[str, ...]] = {
    "person": _lines(
        """Nelson Mandela, Gandhi, Winston Churchill, Joan of Arc, Michelangelo, Plato,
        Aristotle, Socrates, Marco Polo, Queen Victoria, Elvis Presley, Marilyn Monroe,
        Charlie Chaplin, Walt Disney, Nikola Tesla, Thomas Edison, Stephen Hawking,
        Sigmund Freud, Karl Marx, Immanuel Kant, Nietzsche, Rembrandt, Dante, Homer,
        Tolstoy, Dostoevsky, Hemingway, Mark Twain, Jane Austen, Charles Dickens, Agatha
        Christie, Pele, Muhammad Ali, Genghis Khan, Alexander the Great, Martin Luther
        King, Florence Nightingale, Amelia Earhart, Frida Kahlo, Confucius, Buddha,
        Louis XIV, Peter the Great, Simon Bolivar, Tutankhamun, Hannibal, Catherine the
        Great, Rosa Parks, Anne Frank, Mother Teresa, Salvador Dali, Claude Monet,
        Vivaldi, Chopin, Verdi, Kafka, Stalin, Lenin, Obama, Kennedy, Steve Jobs, Bill
        Gates, Taylor Swift, Michael Jackson, Freddie Mercury, Usain Bolt, Serena
        Williams, King Arthur, Zeus, Voltaire, Descartes, Pythagoras, Archimedes,
        Kepler, Copernicus, Pasteur, Mendel, Oppenheimer"""
    ),
    "known": _lines(
        """Napoleon, Cleopatra, Julius Caesar, Abraham Lincoln, Isaac Newton, Charles Darwin,
        Galileo, Picasso, van Gogh, Bach, Mozart, Beethoven, Columbus, Alan Turing, Ada Lovelace,
        Marie Curie, Albert Einstein, Leonardo da Vinci, Shakespeare, Neil Armstrong"""
    ),
    "war": _lines(
        """World War I, World War II, the First World War, the Second World War, WW2, WW1,
        the French Revolution, World War 2, World War 1"""
    ),
    "beast": _lines(
        """tiger, lion, shark, whale, hedgehog, snake, crocodile, bat, bear, rabbit,
        hamster, parrot, turtle, frog, spider, bee, horse, cow, dolphin, penguin,
        kangaroo, koala, giraffe, camel, cheetah, gorilla, swan, beaver, zebra, lizard,
        squirrel, hawk, mosquito, rhino, panda, seal, wasp"""
    ),
    "plant": _lines(
        """tomatoes, roses, herbs, oaks, cacti, orchids, potatoes, tulips, bonsai trees,
        apple trees, carrots, sunflowers, strawberries, ferns, mushrooms, lilies, beans,
        pumpkins, hedges, lemons"""
    ),
    "gadget": _lines(
        """phone, laptop, printer, router, TV, keyboard, tablet, camera, car, washing
        machine, mouse, microphone, browser, smart watch, game console, fridge, heater,
        bike, screen, headset"""
    ),
    "asset": _lines(
        """stocks, bonds, gold, bitcoin, a mortgage, an index fund, a pension, real estate, crypto,
        a savings account, a credit card, an insurance, options, dividends, a startup, a loan"""
    ),
    "event": _lines(
        """the American Civil War, the Cold War, the Roman Empire, the Renaissance, the
        Industrial Revolution, the Black Death, the Vietnam War, the Great Depression,
        the Crusades, the Russian Revolution, the Battle of Waterloo, the Boston Tea
        Party, the Gold Rush, the Middle Ages, the Stone Age, the Ottoman Empire, the
        Ming dynasty, the Viking Age, the Hundred Years' War, the Cuban Missile Crisis,
        the Reformation, the Bronze Age, the Spanish Inquisition, the Magna Carta, the
        Suez Crisis, the Boxer Rebellion, the Marshall Plan, the Trojan War, the Great
        Fire of London, the Peace of Westphalia, the Opium Wars, the Punic Wars, the
        Korean War, the Silk Road, the Holy Roman Empire, the Enlightenment,
        Prohibition, the Space Race, the Arab Spring, the Inca Empire"""
    ),
    "science": _lines(
        """black holes, quantum mechanics, evolution, DNA, plate tectonics, entropy, the
        big bang, dark matter, string theory, electromagnetism, nuclear fusion, mitosis,
        osmosis, the immune system, vaccines, viruses, bacteria, the water cycle,
        volcanoes, earthquakes, tides, lightning, the greenhouse effect, global warming,
        the ozone layer, radioactivity, relativity, inertia, friction, thermodynamics,
        chemical bonds, acids and bases, enzymes, proteins, chromosomes, stem cells,
        natural selection, neurons, the nervous system, digestion, respiration,
        hormones, fossil fuels, solar panels, superconductors, semiconductors, lasers,
        antimatter, neutrinos, the Doppler effect, magnetism, sound waves, the periodic
        table, isotopes, catalysts, polymers, game theory, inflation, supply and demand,
        blockchain, cryptography, quantum computing, GDP"""
    ),
    "country": _lines(
        """France, Italy, Germany, Spain, Japan, China, India, Brazil, Canada, Mexico,
        Egypt, Kenya, Russia, Turkey, Greece, Norway, Sweden, Poland, Portugal, Ireland,
        Argentina, Chile, Peru, Thailand, Vietnam, Australia, New Zealand, South Africa,
        Morocco, Nigeria, Iceland, Austria"""
    ),
    "place": _lines(
        """Paris, London, Rome, Tokyo, New York, Berlin, Madrid, Barcelona, Lisbon,
        Vienna, Prague, Amsterdam, Dublin, Istanbul, Bangkok, Sydney, Bali, Hawaii,
        Iceland, Venice, Florence, Kyoto, San Francisco, Chicago, Boston, Seattle,
        Miami, Las Vegas, Toronto, Cairo, Marrakech, Athens, the Alps, the Maldives,
        Patagonia, Tuscany, Provence, the Grand Canyon, Scotland, Cape Town"""
    ),
    "work": _lines(
        """Moby Dick, War and Peace, The Great Gatsby, Crime and Punishment,
        Frankenstein, Dracula, The Odyssey, The Iliad, Les Miserables, Wuthering
        Heights, Jane Eyre, Great Expectations, Ulysses, Brave New World, Animal Farm,
        The Hobbit, Harry Potter, The Lord of the Rings, Star Wars, The Godfather,
        Titanic, Casablanca, Jurassic Park, The Matrix, Robinson Crusoe, Gulliver's
        Travels, Treasure Island, The Divine Comedy, Anna Karenina, The Metamorphosis"""
    ),
    "dish": _lines(
        """lasagna, paella, ramen, risotto, curry, chili, tiramisu, cheesecake, banana
        bread, guacamole, hummus, falafel, goulash, ratatouille, sourdough, carbonara,
        pad thai, sushi rolls, meatballs, apple pie, chocolate cake, brownies, pancakes,
        waffles, mashed potatoes, tomato soup, tacos, fried rice, dumplings, gnocchi,
        beef stew, roast chicken, a Caesar salad, an omelette, scones"""
    ),
    "illness": _lines(
        """a cold, the flu, a fever, diabetes, asthma, a migraine, back pain, high blood
        pressure, anemia, insomnia, depression, anxiety, a sore throat, a rash, measles,
        malaria, pneumonia, arthritis, a broken toe, food poisoning, hay fever, acne,
        toothache, a cough, a burn, hiccups, eczema, heartburn, vertigo, a sprained
        ankle, dehydration, an ear infection, cancer, a stroke"""
    ),
    "language": _lines(
        """JavaScript, Rust, C++, Java, Go, TypeScript, Kotlin, Swift, Ruby, PHP, Perl,
        Haskell, C#, bash, CSS, R, Scala, Lua, MATLAB, assembly, Fortran, COBOL, Lisp,
        Erlang, Elixir, Dart, PowerShell, Julia, Objective-C, Prolog, OCaml, Clojure,
        Zig, VHDL, Solidity, C"""
    ),
    "program": _lines(
        """a to-do app, a chess engine, a web scraper, a snake game, a calculator app, a
        chat server, a REST API, a login page, a weather app, a tetris clone, a blog
        engine, a web crawler, a bot, a landing page, an online shop, a password
        manager, a file uploader, a music player, a compiler, a neural network, a spam
        filter, a recommendation system, a mobile game, a Discord bot, a VPN, a text
        editor, a web browser, a search engine, a photo editor, a ray tracer, a payment
        system, a linked list, a binary tree, a hash map, a thread pool, a Dockerfile, a
        CI pipeline"""
    ),
    "topic": _lines(
        """climate change, social media, democracy, the economy, education, space
        travel, nuclear power, renewable energy, immigration, globalization, feminism,
        poverty, mental health, remote work, video games, fast fashion, animal testing,
        tourism, electric cars, the housing crisis, plastic pollution, free speech,
        capitalism, minimalism, veganism, leadership, teamwork, friendship, time
        management, the future of work, privacy, modern art, jazz, architecture,
        photography, meditation, yoga, marathon running, gardening, beekeeping, wine,
        coffee culture, urban planning, public transport, genetics, robotics, astronomy,
        the deep sea, rainforests, mythology, the Bible, Buddhism, chess openings"""
    ),
    "product": _lines(
        """a laptop, a phone, a used car, an electric car, a bicycle, a washing machine,
        a sofa, a tent, a camera, headphones, a mattress, a fridge, a TV, a guitar, a
        piano, a dishwasher, a watch, a coffee machine, running shoes, a backpack, a
        drone, a house, a lawn mower, a vacuum cleaner"""
    ),
    "goal": _lines(
        """lose weight, get rich, learn the piano, stop smoking, sleep better, save
        money, find a job, build muscle, make friends, learn to swim, write a novel,
        start a company, buy a house, get fit, pass my exams, speak in public, run a
        marathon, invest my savings, grow tomatoes, fix my bike, fix a leaking tap,
        change a tire, remove a stain, train my dog, tie a tie, paint a room, meditate,
        file my taxes, get a visa, rent a flat, apply for a loan, adopt a cat, become a
        pilot, relax"""
    ),
    "recipient": _lines(
        """my boss, my landlord, my teacher, a client, my team, the bank, my neighbor,
        customer service, my professor, the tax office, a recruiter, an old friend, my
        insurance, the city council, the school, an investor, my ex, my doctor, the
        airline, a journalist, my mother-in-law"""
    ),
    "matter": _lines(
        """a pay rise, my vacation, a late delivery, a broken heater, a refund, the
        noise at night, a new project, my resignation, a missed deadline, a job
        interview, a birthday party, the budget, a complaint, a sick leave, a meeting
        next week, the rent, an invoice, a recommendation"""
    ),
    "integral": _lines(
        """x^2, sin(x), e^x, 1/x, x*cos(x), ln(x), x^3 + 2x, tan(x), sqrt(x), x*e^x,
        cos(x)^2, 1/(1+x^2), sin(x)/x, 3x^2 - 4, e^(-x^2), x^n, sec(x), arctan(x), x^4,
        2^x"""
    ),
    "equation": _lines(
        """x^2 - 5x + 6 = 0, 2x^2 + 3x - 2 = 0, x^3 - x = 0, sin(x) = 0.5, e^x = 7,
        log(x) = 3, y' = y, y'' + y = 0, x^2 + y^2 = 25, |x - 3| = 5, x^4 = 16, 2^x =
        32, sqrt(x + 1) = 4, 3x + 4y = 7 and x - y = 2, x + y = 10 and xy = 21, x^2 =
        -1, cos(x) = x, x^2 + 1 = 0"""
    ),
    "theorem": _lines(
        """the Pythagorean theorem, Fermat's last theorem, the Riemann hypothesis,
        Bayes' theorem, the four color theorem, Euler's identity, the central limit
        theorem, Godel's theorem, the prime number theorem, the intermediate value
        theorem, the fundamental theorem of calculus, P vs NP, the binomial theorem, the
        chain rule, L'Hopital's rule, Zorn's lemma, the Collatz conjecture"""
    ),
    "site": _lines(
        """https://example.com, www.news.com, https://blog.example.org/post,
        wikipedia.org, github.com, https://shop.example.com, my website, the link above,
        this link, https://docs.example.io, https://example.net/page.html, the homepage,
        reddit.com, youtube.com, http://10.0.0.1"""
    ),
    "file": _lines(
        """report.pdf, data.csv, main.py, notes.txt, photo.jpg, budget.xlsx, my resume,
        the log file, config.yaml, slides.pptx, the attachment, my inbox, contract.docx,
        server.log, backup.zip, the spreadsheet, my desktop, my downloads folder,
        README.md, invoice.pdf"""
    ),
    "picture": _lines(
        """a sunset, a cat on a sofa, a dragon, a castle, a robot, my house, a logo, a
        mountain lake, a spaceship, an astronaut on a horse, a portrait of a woman, a
        bowl of fruit, a city at night, a cartoon dog, a horse, a wedding card, a floor
        plan, a flower, an anime girl, a diagram"""
    ),
    "cup": _lines(
        """the World Cup, the Olympics, the Super Bowl, the Champions League, Wimbledon,
        the Tour de France, the World Series, the NBA finals, the Euro final, the Ryder
        Cup, the Stanley Cup, the Grand Prix, the Boston Marathon, the US Open, the Six
        Nations, the Ashes, the Masters"""
    ),
    "law": _lines(
        """copyright, divorce, a rental contract, self-defense, inheritance, a parking
        ticket, tax fraud, a patent, a will, unpaid overtime, defamation, a trademark,
        custody, a speeding fine, bankruptcy, my right to privacy, a power of attorney,
        an NDA, a work permit, a prenup, small claims"""
    ),
    "drug": _lines(
        """aspirin, ibuprofen, paracetamol, antibiotics, penicillin, insulin, vitamin D,
        magnesium, iron pills, cough syrup, melatonin, antihistamines, cortisone,
        sleeping pills, statins, caffeine"""
    ),
    "danger": _lines(
        """build a bomb, pick a lock, hack a bank, steal a car, make poison, write a
        virus, forge a passport, buy a gun, break into a house, steal a password, make
        fireworks, cheat on a test, evade taxes, tap a phone, hack my neighbor's wifi,
        make drugs, blackmail somebody"""
    ),
    "figure": _lines(
        """a pirate, a Roman soldier, my teacher, a therapist, a detective, a talking
        cat, a king, a chef, a salesman, a job interviewer, a doctor, a lawyer, an
        alien, a medieval knight, a Linux terminal, a tour guide, my best friend, a
        stand-up comedian, a poet, a news anchor, a fitness coach"""
    ),
    "tongue": _lines(
        """Finnish, Greek, Latin, Welsh, Hebrew, Thai, Vietnamese, Swahili, Hungarian,
        Czech, Danish, Norwegian, Ukrainian, Persian, Urdu, Tamil, Icelandic, Irish,
        Esperanto, Klingon, Bengali"""
    ),
    "genre": _lines(
        """essay, article, blog post, report, speech, press release, newsletter, term
        paper, review, thesis, script, screenplay, sonnet, ballad, rap, song, lullaby,
        limerick, manifesto, eulogy, sermon, toast, product description, cover letter,
        novel, chapter, dialogue, biography, memoir, business plan, grant proposal,
        lesson plan, user manual, terms of service, privacy policy"""
    ),
    "invention": _lines(
        """the light bulb, the airplane, the wheel, the steam engine, the printing
        press, the camera, the bicycle, the radio, the zipper, gunpowder, the compass,
        the microscope, the telescope, the refrigerator, the elevator, plastic, rubber,
        concrete, the credit card, the umbrella, the piano, beer, soap, silk, the
        microwave oven, the parachute, the ballpoint pen, the toothbrush, the sewing
        machine, the helicopter, the computer mouse, the stapler, velcro, dynamite, the
        transistor"""
    ),
    "instrument": _lines(
        """guitar, piano, violin, flute, drums, trumpet, cello, harmonica, ukulele,
        saxophone, banjo"""
    ),
}
