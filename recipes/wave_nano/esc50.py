"""The forty classes of ESC-50 beyond the ten of `classes`: phrases for training and for the evaluation.

No training caption uses a content word of the paraphrases; a test checks this.
"""

from __future__ import annotations

from types import MappingProxyType

SOUND_WORDS = MappingProxyType(
    {
        "airplane": ("an airplane flying", "a flying airplane", "the engine of an airplane", "a plane in the air"),
        "breathing": ("a person breathing", "someone breathes", "breathing", "the breath of a person"),
        "brushing_teeth": ("someone brushing teeth", "brushing teeth", "a person brushes the teeth"),
        "can_opening": ("opening a can", "a can being opened", "a can opens"),
        "car_horn": ("a car horn", "the horn of a car", "a car honking", "a honking car"),
        "cat": ("a cat meowing", "a cat meows", "the meow of a cat", "a meowing cat"),
        "chirping_birds": ("birds chirping", "chirping birds", "birds singing", "the song of birds"),
        "church_bells": ("church bells ringing", "church bells", "ringing bells", "the bells of a church"),
        "clapping": ("people clapping", "clapping hands", "people clap"),
        "clock_alarm": ("an alarm clock ringing", "a ringing alarm clock", "the alarm of a clock"),
        "coughing": ("a person coughing", "someone coughs", "a cough", "a coughing person"),
        "cow": ("a cow mooing", "a cow moos", "the moo of a cow", "a mooing cow"),
        "crickets": ("crickets chirping", "chirping crickets", "the chirp of crickets"),
        "crow": ("a crow cawing", "a cawing crow", "the call of a crow", "a crow caws"),
        "door_knock": ("someone knocking on a door", "a knock on the door", "knocking at the door"),
        "door_wood_creaks": ("a wooden door creaking", "a creaking door", "the creak of a door"),
        "drinking_sipping": ("someone drinking", "a person sips a drink", "sipping a drink"),
        "engine": ("an engine running", "a running engine", "the sound of an engine"),
        "fireworks": ("fireworks exploding", "exploding fireworks", "fireworks"),
        "footsteps": ("footsteps", "someone walking", "the steps of a person"),
        "frog": ("a frog croaking", "a frog croaks", "the croak of a frog", "croaking frogs"),
        "glass_breaking": ("glass breaking", "breaking glass", "a glass breaks"),
        "hand_saw": ("someone sawing wood", "a hand saw cutting wood", "sawing with a hand saw"),
        "hen": ("a hen clucking", "a clucking hen", "hens clucking", "a hen clucks"),
        "insects_flying": ("insects flying", "insects buzzing", "the buzz of an insect", "flying insects"),
        "keyboard_typing": ("someone typing on a keyboard", "typing on a keyboard", "the keys of a keyboard"),
        "laughing": ("a person laughing", "someone laughs", "people laughing", "laughter"),
        "mouse_click": ("a mouse click", "clicking with a computer mouse", "the click of a mouse"),
        "pig": ("a pig grunting", "a pig grunts", "the grunt of a pig", "a grunting pig"),
        "pouring_water": ("pouring water", "water being poured", "someone pours water"),
        "sheep": ("a sheep bleating", "sheep bleating", "the bleat of a sheep", "a bleating sheep"),
        "siren": ("a siren", "a howling siren", "the sound of a siren"),
        "snoring": ("a person snoring", "someone snores", "the snore of a person", "a snoring person"),
        "thunderstorm": ("a thunderstorm", "thunder", "the rumble of thunder"),
        "toilet_flush": ("a toilet flushing", "flushing a toilet", "the flush of a toilet"),
        "train": ("a train passing", "a passing train", "the sound of a train"),
        "vacuum_cleaner": ("a vacuum cleaner running", "a vacuum cleaner", "vacuuming"),
        "washing_machine": ("a washing machine running", "a washing machine", "the drum of a washing machine"),
        "water_drops": ("water dripping", "dripping water", "drops of water"),
        "wind": ("wind blowing", "blowing wind", "the wind"),
    }
)

PARAPHRASES = MappingProxyType(
    {
        "airplane": ("a jet taking off", "an airliner with passengers", "aviation at the airport"),
        "breathing": ("inhaling and exhaling", "panting of an athlete", "heavy respiration"),
        "brushing_teeth": ("a toothbrush scrubbing", "dental hygiene", "cleaning the mouth with toothpaste"),
        "can_opening": ("a tin popped", "cracking a soda", "unsealing a beer"),
        "car_horn": ("an impatient driver beeping", "tooting in a traffic jam", "an automobile hooter"),
        "cat": ("a kitten mewing", "a hungry tomcat", "feline caterwauling"),
        "chirping_birds": ("sparrows twittering", "the chorus of finches", "tweets from a treetop"),
        "church_bells": ("chimes from the cathedral", "a steeple tolling", "the pealing of a carillon"),
        "clapping": ("applause of an audience", "a standing ovation", "cheering spectators"),
        "clock_alarm": ("a buzzer for sleepyheads", "a beeper at the bedside", "a timer going off"),
        "coughing": ("a hacking smoker", "clearing one's throat", "a patient with bronchitis"),
        "cow": ("cattle lowing", "a bellowing bull", "livestock in the pasture"),
        "crickets": ("cicadas on a summer evening", "grasshoppers stridulating", "nocturnal katydids"),
        "crow": ("a croaky raven", "rooks in the park", "a jackdaw"),
        "door_knock": ("a visitor rapping", "tapping at the entrance", "pounding with a fist"),
        "door_wood_creaks": ("squeaky hinges", "a rusty gate", "a haunted house squeaking"),
        "drinking_sipping": ("slurping tea", "gulping a beverage", "swallowing a mouthful of juice"),
        "engine": ("an idling lorry", "a diesel generator", "pistons and cylinders"),
        "fireworks": ("rockets bursting on new year", "a pyrotechnic display", "firecrackers going bang"),
        "footsteps": ("a pedestrian strolling", "heels on the pavement", "boots treading on gravel"),
        "frog": ("toads in a pond", "an amphibian's ribbit", "a marsh at dusk"),
        "glass_breaking": ("a window shattering", "smashed crockery", "a bottle crashing to pieces"),
        "hand_saw": ("a carpenter with a plank", "joinery in a workshop", "shortening a board by muscle"),
        "hen": ("chickens in a coop", "a broody fowl", "pullets cackling"),
        "insects_flying": ("a swarm of bees", "a mosquito humming", "a bluebottle at the window"),
        "keyboard_typing": ("a typist at work", "a secretary writing an email", "entering data in an office"),
        "laughing": ("giggling girls", "chuckling at a joke", "hilarity and amusement"),
        "mouse_click": ("pressing a button on a trackball", "a cursor selecting icons", "a pointing device"),
        "pig": ("an oinking hog", "a sow in the sty", "snorting swine"),
        "pouring_water": ("filling a jug", "decanting a liquid", "topping a kettle"),
        "sheep": ("a lamb baaing", "a flock of ewes", "a ram on the hillside"),
        "siren": ("an ambulance", "an emergency vehicle", "an urgent warning"),
        "snoring": ("a noisy sleeper", "slumber in the bedroom", "sleep apnea"),
        "thunderstorm": ("lightning strikes", "a tempest", "stormy weather"),
        "toilet_flush": ("a lavatory cistern", "using the bathroom", "emptying the loo"),
        "train": ("a subway at the platform", "freight wagons", "a commuter express"),
        "vacuum_cleaner": ("hoovering the carpet", "housework with a suction device", "a dustbuster"),
        "washing_machine": ("laundry in an appliance", "the rinse cycle", "doing the laundry"),
        "water_drops": ("a leaking tap", "a faucet plinking", "trickles in a cave"),
        "wind": ("a gale", "a gusty breeze", "a hurricane"),
    }
)

PICTURED = MappingProxyType(
    {
        "rooster": ("n01514668",),
        "cat": ("n02123045", "n02123159", "n02123394", "n02123597", "n02124075"),
        "pig": ("n02395406",),
        "cow": ("n02403003",),
        "frog": ("n01641577", "n01644373", "n01644900"),
        "sheep": ("n02412080", "n02415577"),
        "crow": ("n01580077", "n01582220"),
        "hen": ("n01514859",),
        "train": ("n02917067", "n04310018", "n03272562", "n03895866", "n03393912"),
        "airplane": ("n02690373", "n04552348"),
        "clock_tick": ("n02708093", "n04548280"),
        "chainsaw": ("n03000684",),
        "church_bells": ("n03028079", "n02825657"),
        "sea_waves": ("n09428293", "n02894605", "n09421951", "n09399592"),
        "keyboard_typing": ("n03085013", "n04505470", "n04264628"),
        "vacuum_cleaner": ("n04517823",),
        "washing_machine": ("n04554684",),
    }
)
"""Label of a sound -> photographs that show its source, by ids of WordNet 3.0. ImageNet has no crow: jay and magpie are
of its family. The dogs, the 18th class, are those of `everyday.toml`."""
