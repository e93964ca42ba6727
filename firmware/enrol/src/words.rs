//! The words that people compare: the box's page and the cloud show three of them when a code was claimed. Equal words
//! mean that owner, box and session are the ones that the other side sees; who claims a foreign code sees others.

use model::BoxId;
use sha2::{Digest as _, Sha256};

/// Three words, 24 bits: `amber-river-clock`. Each side computes them from what itself knows.
pub fn check_words(box_id: &BoxId, session: &str, owner: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"streambox check words 1\n");
    for field in [box_id.as_str(), session, owner] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    let hash = hash.finalize();
    let words: Vec<&str> =
        hash.iter().take(3).map(|byte| WORDS.get(usize::from(*byte)).copied().unwrap_or_default()).collect();
    words.join("-")
}

/// Short words that are hard to take for each other.
const WORDS: [&str; 256] = [
    "acorn", "actor", "album", "amber", "angel", "ankle", "apple", "apron", "arrow", "atlas", "attic",
    "bacon", "badge", "bagel", "baker", "banjo", "basil", "basin", "beach", "beard", "berry", "birch",
    "bison", "blade", "blanket", "board", "bonus", "boots", "bottle", "brain", "bread", "brick", "bridge",
    "broom", "brush", "bucket", "butter", "button", "cabin", "cable", "cactus", "camel", "camera", "candle",
    "canoe", "canvas", "carbon", "cargo", "carpet", "carrot", "castle", "cattle", "cedar", "cellar", "chair",
    "chalk", "cherry", "chess", "chief", "choir", "cider", "cinema", "circle", "citrus", "clock", "cloud",
    "clover", "cobra", "cocoa", "coffee", "comet", "copper", "coral", "cotton", "couch", "cousin", "crane",
    "crayon", "cricket", "crown", "crystal", "cycle", "dancer", "desert", "diary", "dinner", "doctor",
    "dolphin", "donkey", "dragon", "drawer", "dream", "drum", "eagle", "earth", "easel", "echo", "elbow",
    "elder", "engine", "eraser", "fabric", "falcon", "farmer", "feather", "fence", "ferry", "fiddle",
    "finger", "flag", "flame", "flute", "forest", "fossil", "fox", "frame", "frost", "galaxy", "garage",
    "garden", "garlic", "ghost", "ginger", "giraffe", "glacier", "glass", "globe", "glove", "goat", "gold",
    "grape", "grass", "guitar", "hammer", "harbor", "harvest", "hazel", "helmet", "heron", "hobby", "honey",
    "horse", "hotel", "igloo", "insect", "iron", "island", "ivory", "jacket", "jaguar", "jelly", "jewel",
    "jungle", "kettle", "kitten", "koala", "ladder", "lagoon", "lamp", "lemon", "lentil", "letter", "lily",
    "linen", "lion", "lizard", "lobster", "magnet", "mango", "maple", "marble", "market", "meadow", "melon",
    "mirror", "monkey", "mosaic", "motor", "museum", "mustard", "needle", "nickel", "noodle", "nutmeg",
    "oak", "ocean", "olive", "onion", "orange", "orbit", "orchid", "otter", "oven", "oyster", "paddle",
    "palace", "panda", "paper", "parrot", "pasta", "peanut", "pebble", "pencil", "pepper", "piano", "pickle",
    "pigeon", "pillow", "pilot", "pine", "planet", "plum", "pocket", "poem", "polar", "pony", "poplar",
    "potato", "prince", "puzzle", "rabbit", "radar", "radio", "raven", "ribbon", "river", "robin", "rocket",
    "ruby", "saddle", "salmon", "sandal", "saturn", "scarf", "school", "shadow", "shark", "silver", "singer",
    "spider", "spoon", "spruce", "squirrel", "stable", "statue", "stove", "sugar", "summer", "sunset",
    "swan", "table", "teapot", "temple", "tiger", "tomato", "tower",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_and_so_do_their_triples() {
        let distinct: std::collections::BTreeSet<_> = WORDS.iter().collect();
        assert_eq!(distinct.len(), WORDS.len());
        let id = |letter: &str| BoxId::new(&letter.repeat(26)).unwrap();
        let words = check_words(&id("a"), "session", "ACME");
        assert_eq!(words.split('-').count(), 3);
        // Frozen: a box of an older version must show the same.
        assert_eq!(words, "table-temple-oven");
        assert_ne!(words, check_words(&id("b"), "session", "ACME"));
        assert_ne!(words, check_words(&id("a"), "sessio", "nACME"));
        assert_ne!(words, check_words(&id("a"), "session", "ACNE"));
    }
}
