//! What differs between boards, behind traits: the lights that tell what the box is doing, and the reset button.
