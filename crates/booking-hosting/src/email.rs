//! Messages to buyers by e-mail: what a person has written, with what was bought filled in, over SMTP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use booking_core::effect::Notification;
use hyper::Uri;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ports::Notifier;

/// What an e-mail says where an operator has written no other: its subject, an empty line, its text.
pub const TEMPLATE: &str = "\
Subject: Your booking is confirmed

Thank you. You have booked:

{tickets}

Paid: {amount}
Booking: {checkout}
";

/// What stands in for something of the booking.
const FIELDS: [&str; 4] = ["tickets", "amount", "checkout", "user"];

/// An e-mail with places to fill in: `{tickets}` (a line each), `{amount}`, `{checkout}`, `{user}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    subject: Vec<Piece>,
    text: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(&'static str),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATemplate {
    /// It does not say what it is about.
    #[error("its first line must be `Subject: …`, the second one empty")]
    Subject,
    /// It has a place that nothing fills.
    #[error("line {line}: there is no {{{name}}}; there are {{tickets}}, {{amount}}, {{checkout}} and {{user}}")]
    Field {
        /// Which line, from 1.
        line: usize,
        /// What it names.
        name: String,
    },
}

impl Template {
    /// Reads one.
    ///
    /// # Errors
    /// [`NotATemplate`].
    pub fn parse(text: &str) -> Result<Self, NotATemplate> {
        let (head, text) = text.split_once('\n').ok_or(NotATemplate::Subject)?;
        let subject = head.strip_prefix("Subject:").ok_or(NotATemplate::Subject)?.trim();
        let (blank, text) = text.split_once('\n').ok_or(NotATemplate::Subject)?;
        if subject.is_empty() || !blank.trim().is_empty() {
            return Err(NotATemplate::Subject);
        }
        Ok(Self { subject: pieces(subject, 1)?, text: pieces(text, 3)? })
    }

    /// The subject and the text for a booking.
    fn filled(&self, notification: &Notification) -> (String, String) {
        let tickets: Vec<&str> = notification.tickets.iter().map(|ticket| ticket.as_str()).collect();
        let fill = |pieces: &[Piece], between: &str| -> String {
            let each = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Field("tickets") => tickets.join(between),
                Piece::Field("amount") => notification.amount.to_string().replace(':', " "),
                Piece::Field("checkout") => notification.checkout.to_string(),
                Piece::Field(_) => notification.user.as_str().to_owned(),
            };
            pieces.iter().map(each).collect()
        };
        (fill(&self.subject, ", "), fill(&self.text, "\n"))
    }
}

/// Splits a text at its places. A brace that no name and brace follow is a brace.
fn pieces(text: &str, first_line: usize) -> Result<Vec<Piece>, NotATemplate> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let name = after.split_once('}').map(|(name, _)| name);
        let name = name.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let Some(name) = name else {
            pieces.push(Piece::Text(format!("{before}{{")));
            rest = after;
            continue;
        };
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
            let above = text.len() - after.len();
            let line = first_line + text[..above].matches('\n').count();
            return Err(NotATemplate::Field { line, name: name.to_owned() });
        };
        pieces.extend([Piece::Text(before.to_owned()), Piece::Field(field)]);
        rest = &after[name.len() + 1..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// A mail server, and what it is sent.
pub struct EmailNotifier {
    server: AsyncSmtpTransport<Tokio1Executor>,
    within: Duration,
    from: Mailbox,
    template: Template,
}

/// Keeps the server's password back.
impl fmt::Debug for EmailNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailNotifier").finish_non_exhaustive()
    }
}

/// How a mail server is reached.
#[derive(Clone)]
pub struct MailServer {
    /// `smtp://HOST` or `smtps://HOST`, perhaps with a port.
    pub url: String,
    /// The user and the password that it knows this host by.
    pub login: Option<(String, String)>,
    /// How long it may take to take an e-mail.
    pub within: Duration,
}

/// Keeps the password back.
impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailServer").field("within", &self.within).finish_non_exhaustive()
    }
}

/// What cannot be a mail server.
#[derive(Debug, thiserror::Error)]
pub enum NotAMailServer {
    /// Its address is none.
    #[error("must be smtp://HOST:587, which is encrypted from its greeting on, or smtps://HOST:465")]
    Address,
    /// It has a user or a password in it.
    #[error("must have no user and no password in it: they would stand in logs")]
    Credentials,
    /// It cannot be told here who answers.
    #[error("{0}")]
    Encryption(#[from] lettre::transport::smtp::Error),
}

impl EmailNotifier {
    /// Sends from this address, through a server. What goes to another machine is encrypted.
    ///
    /// # Errors
    /// [`NotAMailServer`].
    pub fn new(server: MailServer, from: Mailbox, template: Template) -> Result<Self, NotAMailServer> {
        let uri: Uri = server.url.parse().map_err(|_| NotAMailServer::Address)?;
        let host = uri.host().ok_or(NotAMailServer::Address)?.trim_matches(['[', ']']).to_owned();
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(NotAMailServer::Credentials);
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(NotAMailServer::Address);
        }
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (port, tls) = match uri.scheme_str() {
            Some("smtp") if is_here => (25, Tls::None),
            Some("smtp") => (587, Tls::Required(TlsParameters::new(host.clone())?)),
            Some("smtps") => (465, Tls::Wrapper(TlsParameters::new(host.clone())?)),
            _ => return Err(NotAMailServer::Address),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
        let builder = builder.port(uri.port_u16().unwrap_or(port)).tls(tls).timeout(Some(server.within));
        let builder = match server.login {
            Some((user, password)) => builder.credentials(Credentials::new(user, password)),
            None => builder,
        };
        Ok(Self { server: builder.build(), within: server.within, from, template })
    }

    /// The e-mail for a booking, and whom it goes to.
    fn message(&self, notification: &Notification, to: Address) -> Result<Message, lettre::error::Error> {
        let (subject, text) = self.template.filled(notification);
        // The same each time, so that a mail program shows a copy once. The key itself stays here.
        let id: String = Sha256::digest(notification.key.as_str()).iter().map(|byte| format!("{byte:02x}")).collect();
        let message = Message::builder().from(self.from.clone()).to(Mailbox::new(None, to)).subject(subject);
        let message = message.message_id(Some(format!("<{id}@{}>", self.from.email.domain())));
        message.header(ContentType::TEXT_PLAIN).body(text)
    }
}

#[async_trait]
impl Notifier for EmailNotifier {
    /// Sends the e-mail, where the order's `contact` has an `email`. Without one there is nothing to send; one that is no address will
    /// never be one, so that is said in the log and over.
    async fn deliver(&self, notification: &Notification) -> bool {
        let contact =
            notification.contact.as_ref().and_then(|contact| serde_json::from_str::<Value>(contact.as_json()).ok());
        let Some(to) = contact.as_ref().and_then(|contact| contact.get("email")) else { return true };
        // Neither the address nor what the server says of it belongs in a log.
        let Some(to) = to.as_str().and_then(|to| to.parse::<Address>().ok()) else {
            tracing::warn!(checkout = %notification.checkout, "the e-mail address of an order is none: it gets no e-mail");
            return true;
        };
        let message = match self.message(notification, to) {
            Ok(message) => message,
            Err(why) => {
                tracing::warn!(checkout = %notification.checkout, %why, "an e-mail cannot be written");
                return false;
            }
        };
        // A connection for each, and a limit on all of it: a server that takes it and says nothing holds up only this one.
        match tokio::time::timeout(self.within, self.server.send(message)).await {
            Ok(Ok(_)) => true,
            Err(_) => {
                tracing::warn!(checkout = %notification.checkout, "the mail server has not taken an e-mail in time");
                false
            }
            Ok(Err(why)) => {
                let status = why.status().map(|status| status.to_string()).unwrap_or_default();
                let is_final = why.is_permanent();
                tracing::warn!(checkout = %notification.checkout, status, is_final, "the mail server has not taken an e-mail");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use booking_core::ids::{CheckoutId, PaymentKey, TicketId, UserId};

    use super::*;

    fn notification() -> Notification {
        let ids = ["hall:A:1", "hall:A:2"];
        Notification {
            key: PaymentKey::parse("c-1:notify").unwrap(),
            checkout: CheckoutId::parse("c-1").unwrap(),
            user: UserId::parse("{amount}").unwrap(),
            contact: None,
            tickets: ids.iter().map(|id| TicketId::parse(id).unwrap()).collect(),
            amount: "90.00:USD".parse().unwrap(),
            payment: None,
        }
    }

    #[test]
    fn a_template_is_filled_in_once() {
        let template =
            Template::parse("Subject: {tickets} of {user}\n\n{tickets} {} { {x1} {amount}{checkout}").unwrap();
        let (subject, text) = template.filled(&notification());
        assert_eq!(subject, "hall:A:1, hall:A:2 of {amount}");
        assert_eq!(text, "hall:A:1\nhall:A:2 {} { {x1} 90.00 USDc-1");
        assert!(
            Template::parse(TEMPLATE).unwrap().filled(&notification()).1.contains("Paid: 90.00 USD\nBooking: c-1\n")
        );
    }

    #[test]
    fn what_is_no_template_is_refused_by_its_line() {
        for text in ["", "Hello", "Subject: a\nno empty line\n", "Subject:  \n\nx", "subject: a\n\nx"] {
            assert_eq!(Template::parse(text), Err(NotATemplate::Subject), "{text:?}");
        }
        let wrong = Template::parse("Subject: a\n\nb\n{seats}\n").unwrap_err();
        assert_eq!(wrong, NotATemplate::Field { line: 4, name: "seats".to_owned() });
        let wrong = Template::parse("Subject: {card}\n\nb").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "line 1: there is no {card}; there are {tickets}, {amount}, {checkout} and {user}"
        );
    }

    #[test]
    fn a_mail_server_has_an_address_without_a_password() {
        let new = |url: &str| {
            let server = MailServer { url: url.to_owned(), login: None, within: Duration::from_secs(1) };
            EmailNotifier::new(server, "Hall <hall@example.com>".parse().unwrap(), Template::parse(TEMPLATE).unwrap())
        };
        for url in
            ["", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://mail.example.com/x", "smtp://a?b"]
        {
            assert!(matches!(new(url), Err(NotAMailServer::Address)), "{url}");
        }
        assert!(matches!(new("smtps://user:secret@mail.example.com"), Err(NotAMailServer::Credentials)));
        for url in ["smtp://127.0.0.1:2525", "smtp://[::1]", "smtp://localhost"] {
            assert!(new(url).is_ok(), "{url}");
        }
        let notifier = new("smtp://127.0.0.1").unwrap();
        let write = || notifier.message(&notification(), "ann@example.com".parse().unwrap()).unwrap();
        let id = |message: &Message| message.headers().get_raw("Message-ID").unwrap().to_owned();
        assert_eq!(id(&write()), id(&write()), "a copy is known as one");
        assert!(!id(&write()).contains("c-1"), "{}", id(&write()));
    }
}
