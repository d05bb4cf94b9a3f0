//! What HTTP says of a text that seldom changes: a tag, so that a reader who has it is not sent it again, and compression for
//! who takes it (RFC 9110, sections 8.8.3, 12.5.3 and 13.1.2).

use crate::auth::fingerprint;

/// What stands for these bytes, in quotes: a strong `ETag`.
#[must_use]
pub fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", fingerprint(bytes))
}

/// Whether a reader has what this tag stands for, by its `If-None-Match`: several headers mean what one list of all means.
/// They are compared weakly.
#[must_use]
pub fn is_known<'a>(if_none_match: impl IntoIterator<Item = &'a str>, tag: &str) -> bool {
    let mut tags = if_none_match.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Whether a reader takes gzip, by its `Accept-Encoding`.
#[must_use]
pub fn takes_gzip<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> bool {
    let mut codings = accept_encoding.into_iter().flat_map(|list| list.split(','));
    codings.any(|coding| {
        let (name, more) = coding.split_once(';').unwrap_or((coding, ""));
        // `q=0`, `q=0.0` and so on: anything but this.
        let weight = more.trim().strip_prefix("q=").unwrap_or("1");
        let is_refused = weight.chars().all(|char| matches!(char, '0' | '.'));
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_has_it_is_known_by_any_of_its_tags() {
        let tag = tag(b"a text");
        assert_ne!(tag, super::tag(b"another text"));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert!(is_known([known.as_str()], &tag), "{known}");
        }
        for other in ["", "\"x\"", "W/\"x\"", tag.trim_matches('"')] {
            assert!(!is_known([other], &tag), "{other}");
        }
        assert!(is_known(["\"x\"", tag.as_str()], &tag));
        assert!(!is_known([], &tag));
    }

    #[test]
    fn gzip_is_for_who_takes_it() {
        for takes in ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8", "*", "deflate , x-gzip"] {
            assert!(takes_gzip([takes]), "{takes}");
        }
        for not in ["", "br", "identity", "gzip;q=0", "gzip; q=0.00", "*;q=0", "gzipped"] {
            assert!(!takes_gzip([not]), "{not}");
        }
        assert!(!takes_gzip([]));
    }
}
