"""Words that no training caption uses, for the evaluation. A test keeps the two apart."""

from __future__ import annotations

from types import MappingProxyType

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
"""Label -> other ways to say it."""
