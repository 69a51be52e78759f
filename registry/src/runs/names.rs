//! Names for runs and models that were given none: `brisk-otter-417`.

use uuid::Uuid;

const ADJECTIVES: [&str; 32] = [
    "agile", "amber", "ample", "brisk", "calm", "candid", "clear", "crisp", "deft", "eager", "early", "fair",
    "fleet", "fond", "fresh", "gentle", "glad", "grand", "keen", "kind", "light", "lucid", "mellow", "merry",
    "neat", "nimble", "plain", "quick", "quiet", "steady", "sunny", "warm",
];
const NOUNS: [&str; 32] = [
    "alder", "badger", "beacon", "birch", "brook", "cedar", "comet", "crane", "delta", "ember", "falcon",
    "fjord", "grove", "harbor", "heron", "island", "juniper", "lantern", "lark", "maple", "meadow", "orchid",
    "osprey", "otter", "pebble", "plover", "quarry", "reef", "robin", "spruce", "tern", "willow",
];

/// A name that people can tell apart and say aloud; not unique.
pub fn pick(random: Uuid) -> String {
    let bytes = random.as_bytes();
    let adjective = ADJECTIVES[usize::from(bytes[0]) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(bytes[1]) % NOUNS.len()];
    let number = u16::from_be_bytes([bytes[2], bytes[3]]) % 1000;
    format!("{adjective}-{noun}-{number}")
}
