//! Only what is missing: Opus to AAC, H.264 encoding, behind small traits.
