//! The outside world over HTTP: a payment gateway, and a notifier. What the bytes mean is in [`booking_core::wire`];
//! here they are only carried, with a limit on time and length. What is no clear answer is no answer.

use std::time::Duration;

use async_trait::async_trait;
use booking_core::effect::Notification;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::wire::{IDEMPOTENCY_KEY, gateway};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::gateway::Report;
use crate::process::now;
use crate::webhook::Signing;

/// The longest answer that is read, in bytes, if nothing else is said.
const MAX_ANSWER: usize = 64 * 1024;

/// A payment gateway, picked at run time (`Arc<dyn PaymentGateway>`).
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Asks for a payment. The answer is of the kind of what was asked; one of another kind stops the checkout until a person
    /// has looked.
    ///
    /// Any call may be made twice: the same key must get the same answer, and must move money once. An answer that is
    /// neither a clear yes nor a clear no is `Unavailable`.
    async fn pay(&self, payment: &Payment) -> PaymentAnswer;

    /// What its answers so far say about itself; nothing where it is not watched.
    fn report(&self) -> Report {
        Report::default()
    }
}

/// Delivers messages to buyers.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers one; whether it has been taken. The same message may come again, with the same key.
    async fn deliver(&self, notification: &Notification) -> bool;
}

/// What is behind a payment gateway or a notifier: an address that takes JSON.
#[derive(Clone, Debug)]
pub struct HttpPort {
    base: String,
    within: Duration,
    signing: Option<Signing>,
    longest: usize,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An address that cannot be a port.
#[derive(Debug, thiserror::Error)]
pub enum NotAPort {
    /// It is no address.
    #[error("must be an address such as http://127.0.0.1:9090/api/mock-payment")]
    Address,
    /// It has a user or a password in it.
    #[error("must have no user and no password in it: they are not sent, and would stand in logs")]
    Credentials,
    /// There are no root certificates here to tell who answers.
    #[error("root certificates: {0}")]
    Certificates(#[from] std::io::Error),
}

impl HttpPort {
    /// The port at an `http` or `https` address. A call that takes longer than `within` counts as not answered.
    ///
    /// # Errors
    /// [`NotAPort`] where the text is no such address, or an `https` one cannot be checked here.
    pub fn new(base: &str, within: Duration) -> Result<Self, NotAPort> {
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| NotAPort::Address)?;
        let is_plain = uri.scheme_str() == Some("http");
        if !(is_plain || uri.scheme_str() == Some("https")) || uri.host().is_none() || uri.query().is_some() {
            return Err(NotAPort::Address);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(NotAPort::Credentials);
        }
        let connector = hyper_rustls::HttpsConnectorBuilder::new();
        let connector = if is_plain {
            // Who answers need not be checked, so no certificates are needed either.
            connector.with_tls_config(no_certificates())
        } else {
            connector.with_native_roots()?
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(within));
        let connector = connector.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Self { base, within, signing: None, longest: MAX_ANSWER, client })
    }

    /// The same, and what it sends is signed.
    #[must_use]
    pub fn signed(self, signing: Option<Signing>) -> Self {
        Self { signing, ..self }
    }

    /// The same, and it reads answers of up to this number of bytes.
    #[must_use]
    pub fn reading(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// Asks: status and body, or `None` where there is no answer in time.
    pub(crate) async fn ask(&self, request: gateway::GatewayRequest) -> Option<(u16, Bytes)> {
        let gateway::GatewayRequest { path, key, body } = request;
        let signed = self.signing.as_ref().map(|signing| signing.headers(key.as_str(), now(), &body));
        let signed = signed.iter().flatten().map(|(name, value)| (HeaderName::from_static(name), value.as_str()));
        let named = HeaderName::from_bytes(IDEMPOTENCY_KEY.as_bytes()).ok()?;
        let headers: Vec<_> = std::iter::once((named, key.as_str())).chain(signed).collect();
        self.post(path, &headers, body).await
    }

    /// Sends some JSON: status and body of the answer, or `None` where there is none in time.
    pub async fn post(&self, path: &str, headers: &[(HeaderName, &str)], json: String) -> Option<(u16, Bytes)> {
        let typed = [(CONTENT_TYPE, "application/json"), (ACCEPT, "application/json")];
        let answer = self.send(Method::POST, path, &[&typed, headers].concat(), json.into()).await?;
        Some((answer.status().as_u16(), answer.into_body()))
    }

    /// Sends a request as it stands: the answer, or `None` where there is none in time.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Option<Response<Bytes>> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let request = request.body(Full::from(body)).ok()?;
        let exchange = async {
            let (head, body) = self.client.request(request).await.ok()?.into_parts();
            Some(Response::from_parts(head, Limited::new(body, self.longest).collect().await.ok()?.to_bytes()))
        };
        tokio::time::timeout(self.within, exchange).await.ok().flatten()
    }
}

/// For plain addresses: nobody's certificate would do.
fn no_certificates() -> rustls::ClientConfig {
    use rustls::{ClientConfig, RootCertStore, crypto::ring};
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

#[async_trait]
impl Notifier for HttpPort {
    async fn deliver(&self, notification: &Notification) -> bool {
        self.ask(gateway::notification(notification)).await.is_some_and(|(status, _)| (200..300).contains(&status))
    }
}
