//! Messages of which their receiver can tell that they are ours: signed as [Standard Webhooks](https://www.standardwebhooks.com) has
//! it. Its libraries check them, in most languages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use booking_core::time::Timestamp;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// How many bytes a secret has.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets that messages are signed with, each of which a receiver may know: so one can take another's place without a gap.
#[derive(Clone)]
pub struct Signing(Vec<Vec<u8>>);

/// Keeps the secrets back.
impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing(…)")
    }
}

/// What is no secret to sign with. What it is, is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and the base64 of 24 to 64 bytes, such as `echo whsec_$(openssl rand -base64 32)` makes")]
pub struct NotASecret;

impl Signing {
    /// Signs with these; `None` where there are none.
    ///
    /// # Errors
    /// One of them is no secret.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, NotASecret> {
        let secret = |text: &str| {
            let secret = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
            LENGTH.contains(&secret.len()).then_some(secret)
        };
        let secrets = secrets.into_iter().map(|text| secret(text).ok_or(NotASecret)).collect::<Result<Vec<_>, _>>()?;
        Ok((!secrets.is_empty()).then_some(Self(secrets)))
    }

    /// The headers of a message. A message that is sent again has its `id` again, and a new time: receivers refuse old ones.
    #[must_use]
    pub fn headers(&self, id: &str, at: Timestamp, body: &str) -> [(&'static str, String); 3] {
        let seconds = (at.as_millis() / 1_000).to_string();
        let signature = |secret: &Vec<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key may have any length");
            [id, ".", &seconds, ".", body].iter().for_each(|part| mac.update(part.as_bytes()));
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        let signatures = self.0.iter().map(signature).collect::<Vec<_>>().join(" ");
        [("webhook-id", id.to_owned()), ("webhook-timestamp", seconds), ("webhook-signature", signatures)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_the_one_that_other_libraries_make() {
        let signing = Signing::new([SECRET]).unwrap().unwrap();
        let at = Timestamp::from_millis(1_614_265_330_000);
        let headers = signing.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(headers[0], ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
        assert_eq!(headers[2], ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()));
    }

    #[test]
    fn with_two_secrets_there_are_two_signatures() {
        let other = format!("{PREFIX}{}", STANDARD.encode([7; 24]));
        let signing = Signing::new([SECRET, &other]).unwrap().unwrap();
        let [.., (_, both)] = signing.headers("m", Timestamp::from_millis(5_999), "{}");
        let one = |secret| Signing::new([secret]).unwrap().unwrap().headers("m", Timestamp::from_millis(5_000), "{}");
        let [[.., (_, first)], [.., (_, second)]] = [one(SECRET), one(&other)];
        assert_eq!(both, format!("{first} {second}"));
        assert!(Signing::new([]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_secret_is_refused_and_none_is_shown() {
        let short = format!("{PREFIX}{}", STANDARD.encode([7; 23]));
        let long = format!("{PREFIX}{}", STANDARD.encode([7; 65]));
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64", &short, &long] {
            let said = Signing::new([bad]).unwrap_err().to_string();
            assert!(bad.len() < 7 || !said.contains(bad), "{said}");
        }
        assert_eq!(format!("{:?}", Signing::new([SECRET]).unwrap()), "Some(Signing(…))");
    }
}
