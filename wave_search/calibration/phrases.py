"""The text queries of the cohort: everyday phrases with widely different meanings.

Their scores on an index estimate the distribution of scores of texts that do not match it in particular.
"""

PHRASES = (
    # people
    *("a person talking", "a crowd cheering", "a man singing", "a woman laughing", "children playing", "an old man"),
    *("a dancing couple", "a fight", "a kiss", "soldiers", "a king", "a close-up of a face"),
    # animals
    *("a dog", "a cat on a sofa", "a bird in a tree", "a horse in a field", "fish in an aquarium", "a cow"),
    *("an insect on a leaf", "wild animals"),
    # on the road
    *("a car driving on a road", "a train passing", "an aeroplane taking off", "a boat on a lake", "a bicycle"),
    *("a motorcycle", "heavy traffic", "a bus stop", "a police car"),
    # nature
    *("rain", "thunder and lightning", "wind in the trees", "snow", "a river", "waves on a beach", "a mountain"),
    *("a forest", "a desert", "the night sky", "a sunset", "a garden with flowers"),
    # places
    *("a city street", "a tall building", "a house", "a bridge", "a kitchen", "an office", "a church", "a school"),
    *("a shop", "a factory", "a hospital", "a stadium", "an empty room"),
    # music and sounds
    *("piano music", "a guitar", "drums", "a violin", "an orchestra", "a pop song", "a choir", "electronic music"),
    *("silence", "noise", "an alarm", "a bell ringing", "a telephone", "a clock", "footsteps", "a door closing"),
    *("breaking glass", "an explosion", "a gunshot", "fireworks", "an engine running", "a machine at work", "a hammer"),
    # objects
    *("typing on a keyboard", "a computer screen", "a camera", "a television programme", "a newspaper", "a book"),
    *("a letter", "a table and chairs", "a cup of coffee", "bread and cheese", "fruit", "cooking a meal", "a knife"),
    *("a bottle of wine", "a red dress", "a hat", "shoes", "a ball", "a map", "a flag", "money", "a number"),
    # occasions
    *("a football match", "running", "swimming", "skiing", "a wedding", "a funeral", "a speech", "an interview"),
    *("a lesson", "a meeting", "a party", "a protest"),
    # appearance and ideas
    *("a circle", "something blue", "something moving to the left", "fast motion", "black and white", "a cartoon"),
    *("text on the screen", "history", "science", "love", "fear", "time", "a question"),
)
