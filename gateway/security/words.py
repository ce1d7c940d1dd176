"""256 short plain words, at least two letters apart from each other, for reading octets aloud."""

from __future__ import annotations

from typing import Final

WORDS: Final = tuple(
    """
    acorn adobe album almond amber anchor angle animal apple apron arch armor arrow artist aspen
    atlas attic autumn awning bacon badge bagel bakery ballet bamboo banjo barrel basket beaver
    bench berry bishop blanket blossom boiler bonfire bottle branch bridge bronze bucket buffalo
    bundle butter cabin cactus camel candle canoe canyon carbon carpet castle cedar cello chapel
    cherry chimney cinema circle citrus clover coffee comet copper coral cotton cousin cradle
    crayon cricket crystal curtain cymbal daisy dancer denim desert diamond dinner doctor
    dolphin donkey dragon drummer eagle echo elbow elder emerald engine envelope fabric falcon
    farmer feather fern fiddle flannel flute forest fossil fountain fox freckle frost galaxy
    garden garlic gecko geyser ginger giraffe glacier goblet goose granite grove guitar hammer
    harbor hazel helmet heron honey horizon hotel hunter igloo indigo insect iris island ivory
    jacket jaguar jasmine jelly jigsaw jungle juniper kayak kernel kettle kitchen kiwi ladder
    lagoon lantern lemon leopard lily linen lizard lobster lumber lunar magnet mango marble
    meadow mirror mitten mosaic muffin museum mustard napkin nectar needle nickel ninja noodle
    nutmeg oasis ocean olive onion opera orchid otter oven oxygen oyster paddle pajama panther
    parrot pebble pencil pepper piano pigeon pillow pirate planet polar pony prairie pumpkin
    quail quartz rabbit radish raven ribbon river robin rocket ruby salmon sandal satin saturn
    scarf shadow silver siren skate spider sponge sugar summit syrup tailor temple thistle tiger
    timber tomato topaz tractor trumpet tulip tundra turkey umbrella unicorn vacuum valley
    vanilla velvet violin volcano waffle wagon walnut water whale window winter yacht yellow
    yogurt zebra zipper
    """.split()  # noqa: SIM905 - a list literal would take 256 lines
)
"""The word of each octet value; part of the format: changing one changes fingerprints."""
