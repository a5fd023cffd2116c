"""The classes of scenes and sounds: names, pictograms, and phrases for training captions.

No caption uses a content word of `PARAPHRASES`, which are reserved for the evaluation; a test checks this.
"""

from __future__ import annotations

from types import MappingProxyType

# Name -> pictograms in the naming of Iconify's emoji sets.
PICTOGRAMS = MappingProxyType(
    {
        "dog": ("dog", "dog-face", "poodle", "guide-dog", "service-dog"),
        "rooster": ("rooster",),
        "rain cloud": ("cloud-with-rain", "umbrella-with-rain-drops"),
        "wave": ("water-wave",),
        "baby": ("baby",),
        "clock": ("alarm-clock", "mantelpiece-clock", "three-oclock", "ten-oclock"),
        "sneezing face": ("sneezing-face",),
        "helicopter": ("helicopter",),
        "saw": ("carpentry-saw",),
        "fire": ("fire",),
        "cat": ("cat", "cat-face"),
        "cow": ("cow", "cow-face"),
        "pig": ("pig", "pig-face"),
        "frog": ("frog",),
        "elephant": ("elephant",),
        "duck": ("duck",),
        "train": ("locomotive", "train"),
        "car": ("automobile",),
        "bicycle": ("bicycle",),
        "aeroplane": ("airplane",),
        "ship": ("ship",),
        "guitar": ("guitar",),
        "apple": ("red-apple", "green-apple"),
        "balloon": ("balloon",),
        "star": ("star",),
        "tree": ("evergreen-tree", "deciduous-tree"),
        "flower": ("sunflower", "tulip", "hibiscus"),
        "fish": ("fish", "tropical-fish"),
        "butterfly": ("butterfly",),
        "umbrella": ("umbrella",),
    }
)

OTHER_NAMES = MappingProxyType(
    {
        "rain cloud": ("cloud with rain",),
        "wave": ("sea wave", "big wave"),
        "clock": ("alarm clock",),
        "sneezing face": ("person who sneezes",),
        "saw": ("hand saw",),
        "train": ("railway engine", "locomotive"),
        "bicycle": ("bike",),
        "aeroplane": ("plane",),
    }
)

# Label of a sound -> subject of scenes that makes this sound.
SOURCES = MappingProxyType(
    {
        "dog": "dog",
        "rooster": "rooster",
        "rain": "rain cloud",
        "sea_waves": "wave",
        "crying_baby": "baby",
        "clock_tick": "clock",
        "sneezing": "sneezing face",
        "helicopter": "helicopter",
        "chainsaw": "saw",
        "crackling_fire": "fire",
        "cow_moo": "cow",
        "pig_snort": "pig",
        "pig_squeal": "pig",
        "frog": "frog",
        "elephant_trumpet": "elephant",
        "duck_quack": "duck",
        "train_whistle": "train",
        "car_motor": "car",
        "bicycle_bell": "bicycle",
        "airplane_prop": "aeroplane",
    }
)

# Labels for the same sound in different collections.
SAME_SOUND = MappingProxyType(
    {
        "dog_bark": "dog",
        "puppy_bark": "dog",
        "rain_heavy": "rain",
        "rain_light": "rain",
        "rain_medium": "rain",
        "watch_tick": "clock_tick",
        "fire_crackle": "crackling_fire",
    }
)

# Phrases for sounds, used instead of the captions in the manifest of the media.
SOUND_WORDS = MappingProxyType(
    {
        "dog": ("a dog barking", "a dog barks", "dog bark", "the bark of a dog", "a barking dog"),
        "rooster": ("a rooster crowing", "a rooster crows", "the crow of a rooster", "a crowing rooster"),
        "rain": ("rain falling", "falling rain", "rain", "it is raining", "raindrops"),
        "sea_waves": ("sea waves", "waves of the sea", "waves breaking on the shore", "the sea at the coast"),
        "crying_baby": ("a baby crying", "a crying baby", "a baby cries", "the cry of a baby"),
        "clock_tick": ("a clock ticking", "the ticking of a clock", "a clock ticks", "a ticking clock"),
        "sneezing": ("a person sneezing", "someone sneezes", "a sneeze", "a sneezing person"),
        "helicopter": ("a helicopter flying", "a flying helicopter", "the rotor of a helicopter", "a helicopter"),
        "chainsaw": ("a chainsaw running", "a chainsaw cutting wood", "the motor of a chainsaw", "a chainsaw"),
        "crackling_fire": ("a fire crackling", "a crackling fire", "a fire burning", "the crackle of a fire"),
    }
)

# Label -> paraphrases that no training caption uses, for the evaluation.
PARAPHRASES = MappingProxyType(
    {
        "dog": ("a puppy yapping", "a hound woofing", "yelping canine"),
        "rooster": ("a cockerel cock-a-doodle-doo", "cockerel at the farmyard", "poultry"),
        "rain": ("a heavy downpour", "drizzle pattering", "a shower"),
        "sea_waves": ("surf rolling in", "ocean swell", "breakers by the seaside"),
        "crying_baby": ("an infant wailing", "a newborn sobbing", "a weeping toddler"),
        "clock_tick": ("tick tock of a timepiece", "a pendulum", "a stopwatch"),
        "sneezing": ("achoo", "someone with hay fever, atishoo", "nasal allergy outburst"),
        "helicopter": ("a chopper overhead", "whirring blades of an aircraft", "rotorcraft"),
        "chainsaw": ("a lumberjack at work", "machinery felling timber", "logging equipment"),
        "crackling_fire": ("a campfire", "embers in the hearth", "a blazing bonfire"),
    }
)
