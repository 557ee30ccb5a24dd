//! Who is in the team, and what they said.

/// Somebody.
pub struct Person {
    /// The name to sign in with.
    pub username: &'static str,
    /// The name to show.
    pub display_name: &'static str,
}

/// A channel of the team and its talk: who (by number in [`PEOPLE`]) said what.
pub struct Channel {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub topic: &'static str,
    /// Its messages, the oldest first.
    pub talk: &'static [(usize, &'static str)],
}

/// A conversation of two.
pub struct Direct {
    /// Who opens it, and with whom.
    pub between: (usize, usize),
    /// Its messages, the oldest first.
    pub talk: &'static [(usize, &'static str)],
}

/// The team's name.
pub const TEAM: &str = "Harbour Lights";

/// The first of them owns the team.
pub const PEOPLE: [Person; 6] = [
    Person {
        username: "mira",
        display_name: "Mira Okafor",
    },
    Person {
        username: "jonas",
        display_name: "Jonas Lindqvist",
    },
    Person {
        username: "teodora",
        display_name: "Teodora Pavlova",
    },
    Person {
        username: "samir",
        display_name: "Samir Haddad",
    },
    Person {
        username: "yuki",
        display_name: "Yuki Tanabe",
    },
    Person {
        username: "ana",
        display_name: "Ana Beltrán",
    },
];

/// The team's channels.
pub const CHANNELS: [Channel; 4] = [
    Channel {
        name: "general",
        topic: "What everybody should know",
        talk: &[
            (
                0,
                "Good morning all. The lantern festival is on the 12th of March, so we have nine weeks from today.",
            ),
            (1, "Nine weeks is plenty. Famous last words, I know."),
            (
                2,
                "The city has confirmed the quay from pier 3 to the old crane. Permit is in the shared folder.",
            ),
            (0, "Wonderful, Teodora! That was the part I worried about."),
            (
                3,
                "I can bring the power plan on Thursday. How many lanterns are we at now?",
            ),
            (
                4,
                "412 as of last night. The school group made 60 on Saturday alone.",
            ),
            (
                5,
                "And the bakery on Dock Street wants to sponsor the tea stall.",
            ),
            (
                0,
                "Then let us meet on Thursday at 18:00, in the workshop. Agenda: power, tea, rain plan.",
            ),
            (1, "I will bring the projector, for the map."),
            (
                4,
                "Can somebody bring the long extension lead as well? Mine is with the theatre.",
            ),
            (3, "I have two. Done."),
        ],
    },
    Channel {
        name: "workshop",
        topic: "Paper, wire, glue: who builds what, and when",
        talk: &[
            (
                4,
                "The new paper is here. It is heavier than last year's, 120 g, and takes the dye much better.",
            ),
            (5, "Does it still fold without cracking?"),
            (
                4,
                "Yes, if you score it first. I left a sample on the blue table.",
            ),
            (
                1,
                "Wire: we have 80 m left. A fish lantern takes about 2 m, so 40 more fish at most.",
            ),
            (
                0,
                "Please order another 100 m, from the same shop. The receipt goes to Ana.",
            ),
            (1, "Ordered. Comes on Tuesday."),
            (
                5,
                "Got the receipt: 46.50. That leaves 312.20 in the materials budget.",
            ),
            (
                3,
                "Reminder from the fire people: LED candles only, nothing with a flame below deck height.",
            ),
            (4, "All 412 are LED. The three big ones too."),
        ],
    },
    Channel {
        name: "rain-plan",
        topic: "What we do if it pours",
        talk: &[
            (
                2,
                "The old customs house would take us in. 200 people at once, with the doors open.",
            ),
            (0, "What do they want for it?"),
            (
                2,
                "Nothing, if we clean up. And if their flag may hang beside ours.",
            ),
            (
                3,
                "There are only two circuits in there. I would keep the big lanterns outside, under the crane.",
            ),
            (5, "When do we have to decide?"),
            (
                2,
                "On the day before, by noon. I will watch the forecast and write here.",
            ),
            (
                0,
                "Good. Then that is the plan, unless somebody objects by Friday.",
            ),
        ],
    },
    Channel {
        name: "off-topic",
        topic: "",
        talk: &[
            (
                1,
                "Whoever left half a cinnamon roll in the workshop fridge: thank you, it was delicious.",
            ),
            (5, "JONAS."),
            (1, "It had no name on it!"),
            (4, "The next one will have a name on it. And a lock."),
            (3, "I can wire a lock."),
        ],
    },
];

/// Conversations beside the team.
pub const DIRECT: [Direct; 2] = [
    Direct {
        between: (0, 2),
        talk: &[
            (
                0,
                "Thank you again for the permit. Did they make trouble about the crane?",
            ),
            (2, "A little. I promised them that nobody climbs it."),
            (0, "I will tell Jonas twice."),
            (2, "Tell him three times."),
        ],
    },
    Direct {
        between: (3, 4),
        talk: &[
            (3, "What do the three big ones draw, all together?"),
            (
                4,
                "9 W each with the new strips, so 27 W. Less than a kettle thinks about.",
            ),
            (3, "Perfect, then one circuit is enough for the whole quay."),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_speaks_is_there() {
        let channels = CHANNELS.iter().flat_map(|channel| channel.talk);
        let direct = DIRECT.iter().flat_map(|direct| direct.talk);

        assert!(channels.chain(direct).all(|(who, _)| *who < PEOPLE.len()));
        for Direct {
            between: (one, other),
            talk,
        } in &DIRECT
        {
            assert!(talk.iter().all(|(who, _)| who == one || who == other));
        }
    }
}
