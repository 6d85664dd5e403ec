//! Hiding the keys of a wg-quick file.

/// Returns a wg-quick file with `(hidden)` in the place of each private and preshared key; everything else is as it was.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
        match content.split_once('=').filter(|(key, _)| is_secret(key)) {
            Some((key, value)) => {
                let blank = &value[..value.len() - value.trim_start().len()];
                masked.extend([key, "=", blank, "(hidden)"]);
            }
            None => masked.push_str(content),
        }
        masked.push_str(end);
    }
    masked
}

/// Whether a key of a wg-quick file, in whatever spelling wg(8) takes, has a secret as its value. Commented-out lines
/// count: a key in a comment is a key.
fn is_secret(key: &str) -> bool {
    let name: String = key.chars().filter(|c| !c.is_whitespace() && *c != '#').collect();
    name.eq_ignore_ascii_case("PrivateKey") || name.eq_ignore_ascii_case("PresharedKey")
}
