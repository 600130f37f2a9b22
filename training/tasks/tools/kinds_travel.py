"""Tools for travel, food and places."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Result, fields

DISHES = t.one_of(
    "pizza|pancakes|apple pie|tomato soup|fried rice|lasagna|pasta|curry|omelette|banana "
    "bread|chicken soup|salad|tacos|waffles|carrot cake|chocolate cake|sushi|noodles|potato "
    "salad|stew"
)

DISTANCE = Kind(
    tuple("get_distance distance calculate_distance distance_between route_length".split()),
    ("Distance between two places.", "Get the distance of two cities."),
    {
        "from": t.text("from origin start source city_a", t.city),
        "to": t.text("to destination end target city_b", t.city),
    },
    (
        "How far is [it from |]{from} [from|to] {to}?",
        "How far is it from {from} to {to}?",
        "[What is|What's] the distance [between {from} and {to}|from {from} to {to}]?",
        "~[Get|Find|Calculate|Tell me] the distance from {from} to {to}.",
        "Distance [between {from} and {to}|from {from} to {to}|{from} to {to}][?|]",
        "How many [kilometers|kilometres|miles] [are there|is it] from {from} to {to}?",
        "{from} to {to}, how far[ is it|]?",
        "~Measure the [way|distance] from {from} to {to}.",
        "~Work out how far {to} is from {from}.",
        "What is the distance from {from} to {to} in [km|miles]?",
        "How long is the [way|road|trip] from {from} to {to}?",
    ),
    (
        Result(
            "It is {distance} km from {from} to {to}.",
            fields(distance=lambda d, g: d.rng.randint(5, 9000)),
        ),
    ),
    "route",
)
DIRECTIONS = Kind(
    tuple("get_directions directions find_route plan_route navigate navigation".split()),
    ("Directions from one place to another.", "Plan a route."),
    {
        "from": t.text("from origin start from_place", t.city),
        "to": t.text("to destination end to_place", t.city),
        "mode": t.enum(
            "mode mode travel_mode transport",
            ("car train bike", "driving walking cycling", "car bus train", "walk drive"),
            " ({value})",
            ", mode {value}",
            ", by {value}",
        ),
    },
    (
        "~[Get|Give me|Show me|Find] [directions|the route|the way] from {from} to {to}.",
        "How do I get from {from} to {to}{more}?",
        "~[Plan|Find|Show] [a|the best] [route|trip|way] from {from} to {to}.",
        "[Directions|Route|Way] from {from} to {to}[?|]",
        "~Navigate [me |]from {from} to {to}.",
        (
            "I [want|need|have] to [go|travel] from {from} to {to}. [What is the way|Which way do "
            "I go]?"
        ),
        "[What is|What's] the [best|fastest|shortest] way from {from} to {to}{more}?",
        "~Take me from {from} to {to}.",
        "~Guide me from {from} to {to}.",
        "Which [way|route] [goes|leads] from {from} to {to}{more}?",
        "[Navigate|Route]: {from} to {to}",
        "I am in {from} and [want|need|have] to go to {to}. Show me the way{more}.",
    ),
    (
        Result(
            "The way from {from} to {to} takes {minutes} minutes.",
            fields(minutes=lambda d, g: d.rng.randint(5, 900)),
        ),
    ),
    "route",
)
FLIGHTS = Kind(
    tuple("search_flights find_flights flight_search get_flights flights".split()),
    ("Search for flights.", "Find flights between cities on a date."),
    {
        "from": t.text("from origin departure from_city", t.city),
        "to": t.text("to destination arrival to_city", t.city),
        "date": t.text(
            "date date day departure_date", t.date, ", {value}", " ({value})", ", date: {value}"
        ),
    },
    (
        "~[Find|Get|Show] [me |][flights|a flight|cheap flights] from {from} to {to}.",
        "~[Search|Look] for [flights|a flight|cheap flights] from {from} to {to}.",
        "[Are there|Which are the|What are the] flights from {from} to {to}{more}?",
        "I [need|want|am looking for] a flight from {from} to {to}.",
        "[Flights|Flight|Cheap flights] from {from} to {to}[?|]",
        "I want to fly from {from} to {to}{more}. [What is there|Find me a flight|Any flights]?",
        "Flights: {from} to {to}",
        "~List the flights from {from} to {to}.",
        "~Check flights from {from} to {to}.",
        "Can I fly from {from} to {to}{more}?",
        "When does [a|the next] plane leave from {from} to {to}{more}?",
        "~Get me on a plane from {from} to {to}.",
        "Is there a flight from {from} to {to}{more}?",
    ),
    (
        Result("The flight from {from} to {to} is {flight}.", {"flight": lambda d, g: t.code(d)}),
        Result(
            "The cheapest flight costs {price} {currency}.",
            {
                "price": lambda d, g: d.rng.randint(20, 900),
                "currency": lambda d, g: d.pick(("EUR", "USD", "GBP")),
            },
        ),
    ),
)
HOTEL = Kind(
    tuple("book_hotel reserve_hotel hotel_booking book_room".split()),
    ("Book a hotel in a city.", "Hotel booking."),
    {
        "city": t.text("city location place destination", t.city),
        "nights": t.whole("nights nights num_nights duration", t.up_to(3, 7, 14)),
        "breakfast": t.flag(
            "breakfast with_breakfast breakfast",
            " with breakfast",
            ", breakfast included",
            " and breakfast",
        ),
    },
    (
        "~[Book|Reserve|Get me] a [hotel|room|hotel room] in {city} for {nights} nights.",
        "I need a [hotel|room] in {city} for {nights} nights.",
        "{nights} nights in {city}[, hotel|, book it|: book a hotel]",
        "I [stay|will be] in {city} for {nights} nights{more}. Book [me |]a [room|hotel].",
        "~[Find|Book] [me |]{nights} nights in [a hotel in |]{city}.",
        "[Hotel|Hotel room] in {city}, {nights} nights",
        "Can I [have|get] a [room|hotel] in {city} for {nights} nights{more}?",
        "~Get me {nights} nights in {city}.",
        "~Make a hotel [booking|reservation] in {city} for {nights} nights.",
        "We need a place to stay in {city} for {nights} nights.",
        "~Reserve {nights} nights in a hotel in {city}.",
    ),
    (Result("The hotel in {city} is booked for {nights} nights."),),
)
TAXI = Kind(
    tuple("book_taxi call_taxi order_taxi request_ride get_ride".split()),
    ("Book a taxi.", "Order a ride."),
    {
        "destination": t.text(
            "destination to address place",
            t.one_of(
                "the airport|the station|the hotel|the museum|the harbor|the hospital|the "
                "university|the mall|the park|the zoo|the office|home|downtown|the beach"
            ),
        )
    },
    (
        "~[Book|Call|Order|Get] [me |]a [taxi|cab|ride] to {destination}.",
        "I need a [taxi|cab|ride] to {destination}.",
        "[Taxi|Cab|Ride|Taxi:] to {destination}",
        "I [want|have] to [go|get] to {destination} by [taxi|cab].",
        "~Take me to {destination}.",
        "Is there a [taxi|cab] to {destination}?",
        "How do I get a [taxi|cab] to {destination}?",
        "~Get a [taxi|cab] that goes to {destination}.",
        "~Drive me to {destination}.",
        "Can I have a [taxi|cab|ride] to {destination}?",
        "We need a [taxi|cab] to {destination}.",
        "A [taxi|cab] to {destination}[ now|]",
    ),
    (Result("The taxi to {destination} is on its way."),),
)
RESTAURANTS = Kind(
    tuple("find_restaurants search_restaurants restaurant_finder get_restaurants".split()),
    ("Find restaurants in a city.", "Search restaurants by cuisine."),
    {
        "city": t.text("city city location place near", t.city),
        "cuisine": t.text(
            "cuisine cuisine type food kind",
            t.one_of("Italian|French|Indian|Chinese|Thai|Greek|Mexican|Japanese|vegan|Turkish"),
            " (cuisine {value})",
            ", {value} food",
            ", {value} cuisine",
            " ({value})",
        ),
    },
    (
        (
            "~[Find|Show me|Search for|List|Recommend] [a restaurant|restaurants|good "
            "restaurants] in {city}."
        ),
        "Where can I eat in {city}{more}?",
        "[Restaurants|Good restaurants|Places to eat] in {city}[?|]",
        "I am [hungry|looking for a restaurant] in {city}.",
        "Which restaurants are there in {city}{more}?",
        "What is a good place to eat in {city}{more}?",
        "I [want|need|would like] to [eat out|have dinner|have lunch] in {city}.",
        "~Tell me where to eat in {city}.",
        "~Look for [restaurants|places to eat] in {city}.",
        "[Any|Are there any] [good |]restaurants in {city}{more}?",
        "Where do people eat in {city}{more}?",
        "~Suggest a restaurant in {city}.",
    ),
    (Result("I found {name} in {city}.", {"name": lambda d, g: f"{d.word().title()} House"}),),
)
RECIPE = Kind(
    tuple("find_recipe get_recipe search_recipes recipe recipe_for".split()),
    ("Find a recipe for a dish.", "Recipes."),
    {
        "dish": t.text("dish dish name meal food query", DISHES),
        "vegetarian": t.flag(
            "vegetarian vegan vegetarian meatless", " ({param})", ", {param}", ", {param} only"
        ),
    },
    (
        "How do I [make|cook|prepare] {dish}{more}?",
        "~[Find|Get|Show me|Give me|Look up] a recipe for {dish}.",
        "[Recipe|A recipe|Recipes] for {dish}[?|]",
        "{dish} recipe[?|]",
        (
            "I want to [cook|make|eat] {dish}[ tonight| today|]{more}. [How|Is there a "
            "recipe|Find a recipe]?"
        ),
        "Do you have a recipe for {dish}{more}?",
        "What do I need for {dish}{more}?",
        "~Teach me to [make|cook] {dish}.",
        "~Look for a {dish} recipe.",
        "[What is|What's] a [good|simple|easy] recipe for {dish}{more}?",
        "How is {dish} made{more}?",
        "~Help me [cook|make] {dish}[ tonight|]{more}.",
    ),
    (
        Result(
            "It takes {minutes} minutes to make {dish}.",
            fields(minutes=lambda d, g: d.rng.randint(5, 120)),
        ),
    ),
)
TABLE = Kind(
    tuple("book_table reserve_table make_reservation table_booking".split()),
    ("Book a table in a restaurant.", "Reserve a table."),
    {
        "people": t.whole("people people guests party_size seats", t.up_to(4, 8, 12)),
        "time": t.text("time time at when", t.clock),
        "outdoor": t.flag("outdoor outside outdoor terrace", ", outside", " outdoors", ", {param}"),
    },
    (
        "~[Book|Reserve|Get] a table for {people} [people |]at {time}.",
        "A table for {people} [people |]at {time}",
        "I [need|want|would like] a table for {people} at {time}.",
        "We are {people}[ people|]. Book a table at {time}.",
        "[Reservation|Table|Booking] for {people}, {time}",
        "~Make a reservation at {time} for {people}[ people|].",
        "Is there a table for {people} at {time}{more}? Book it.",
        "~Find [us|me] a table for {people} at {time}.",
        "~Reserve seats for {people} at {time}.",
        "Can I book a table for {people} at {time}{more}?",
        "Dinner for {people} at {time}",
        "Table for {people}, {time}",
    ),
    (Result("A table for {people} is booked at {time}."),),
)
PIZZA = Kind(
    tuple("order_pizza pizza_order order_food buy_pizza".split()),
    ("Order a pizza.", "Order a pizza with a topping."),
    {
        "size": t.enum(
            "size size",
            ("small medium large", "small large", "small medium large", "S=small M=medium L=large"),
        ),
        "topping": t.text(
            "topping topping kind flavor",
            t.one_of(
                "cheese|mushrooms|ham|tuna|salami|onions|olives|spinach|pineapple|peppers|tomatoes"
            ),
        ),
    },
    (
        "~[Order|Get me|Buy] a {size} pizza with {topping}.",
        "I [want|would like|take|need] a {size} pizza with {topping}.",
        "A {size} pizza with {topping}",
        "A {size} {topping} pizza",
        "~[Order|Get me|Buy] a {size} {topping} pizza.",
        "Pizza, {size}, {topping}",
        "I am hungry. A {size} pizza with {topping}!",
        "~Bring me a {size} pizza with {topping}.",
        "One {size} pizza with {topping}",
        "Can I have a {size} [{topping} pizza|pizza with {topping}]?",
        "My order: a {size} pizza with {topping}",
        "~Make it a {size} pizza with {topping}.",
    ),
    (Result("The {size} pizza with {topping} is ordered."),),
)
SHOPPING = Kind(
    tuple("add_items add_to_cart shopping_list add_groceries buy_items".split()),
    ("Add items to the shopping list.", "Put things on the shopping list."),
    {"items": t.texts("items items products things list", t.groceries)},
    (
        "~[Add|Put] {items} [to|on] [my|the] shopping list.",
        "I need [to buy |]{items}.",
        "~[Buy|Order|Get] {items}.",
        "[Shopping list|Groceries|To buy|Shopping]: {items}",
        "We need {items}. [Add them to the list|Put them on the list].",
        "We are out of {items}.",
        "~Write {items} on the shopping list.",
        "~Put {items} in [my|the] [cart|basket].",
        "Our fridge is empty: {items}",
        "Don't forget {items} [when you shop|at the shop].",
        "Next time in the shop I need {items}.",
        "Can you [order|buy] {items}?",
    ),
    (Result("The items were added."),),
)
