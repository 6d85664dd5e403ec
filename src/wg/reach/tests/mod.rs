//! Who reaches whom in made-up networks.
