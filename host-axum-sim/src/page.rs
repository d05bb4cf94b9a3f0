//! The page that draws a seat map: the files of `web/` as they are, and `settings.json`, which tells them whom to ask.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use booking_core::MapKey;
use booking_core::wire::{Kind, answer};
use booking_hosting::representation::{is_known, tag};
use bytes::Bytes;
use serde::Serialize;

use crate::routes::{JSON, RouteSettings, not_this_method, read_past, respond};

/// Whom the page asks, and what it shows. `PageSettings::default()` asks the API beside it, and which map to show.
#[derive(Clone, Debug, Default)]
pub struct PageSettings {
    /// Where the API is; `None` for beside the page, under the same path.
    pub api: Option<ApiUrl>,
    /// The map that is shown where the page's own address names none.
    pub map: Option<MapKey>,
    /// Whether this is a demo: the operator can let a crowd of simulated buyers in, where the host has one
    /// ([`serve`](crate::serve) has).
    pub demo: bool,
}

/// Where an API is: `http` or `https`, a host, a port, a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl {
    is_secure: bool,
    /// The host, and the port where one is given.
    authority: String,
    /// Empty, or begins with a `/` and does not end with one.
    path: String,
}

/// What is not the address of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address such as https://tickets.example/api: no user, no query, no fragment, no IPv6 address")]
pub struct NotAnApiUrl;

impl FromStr for ApiUrl {
    type Err = NotAnApiUrl;

    /// Takes nothing that would mean something else in a header: this becomes a source of a Content-Security-Policy, which
    /// has no way to name an IPv6 address.
    fn from_str(text: &str) -> Result<Self, NotAnApiUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnApiUrl)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
        let is_path = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
        if !matches!(scheme, "http" | "https") || !is_host || !port.is_none_or(is_port) || !is_path {
            return Err(NotAnApiUrl);
        }
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { is_secure: scheme == "https", authority: authority.to_owned(), path })
    }
}

impl ApiUrl {
    fn text(&self) -> String {
        format!("http{}://{}{}", self.s(), self.authority, self.path)
    }

    /// What the page may connect to, over HTTP and over WebSockets.
    fn sources(&self) -> String {
        let (s, authority) = (self.s(), &self.authority);
        format!(" http{s}://{authority} ws{s}://{authority}")
    }

    fn s(&self) -> &'static str {
        if self.is_secure { "s" } else { "" }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const INDEX: &str = include_str!("../../web/index.html");

/// A file of the page: its path, its type, its text.
macro_rules! file {
    ($name:literal, $type:expr) => {
        (concat!("/", $name), $type, include_str!(concat!("../../web/", $name)))
    };
}

/// Every file of the page, but for what depends on the settings.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, INDEX),
    ("/index.html", HTML, INDEX),
    file!("style.css", CSS),
    file!("favicon.svg", SVG),
    file!("admin.js", JS),
    file!("alarms.js", JS),
    file!("api.js", JS),
    file!("app.js", JS),
    file!("basket.js", JS),
    file!("books.js", JS),
    file!("buyer.js", JS),
    file!("chart.js", JS),
    file!("crowd.js", JS),
    file!("currencies.js", JS),
    file!("dom.js", JS),
    file!("legend.js", JS),
    file!("live.js", JS),
    file!("operator.js", JS),
    file!("rates.js", JS),
    file!("seats.js", JS),
    file!("till.js", JS),
    file!("venue.js", JS),
    file!("words.js", JS),
    file!("zoom.js", JS),
];

/// The page, to be merged into an app of your own, or nested under a path of it, beside [`router`](crate::router) or by
/// itself. All its addresses are relative. No token is needed for any of it.
///
/// It has no fallback: your app answers every path that is not one of these files.
///
/// ```
/// # use host_axum_sim::{Engine, Host, PageSettings, RouteSettings, Settings, page, router};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let host = Host::new(Engine::new(Settings::default()));
/// let booking = router(host, RouteSettings::default()).merge(page(PageSettings::default()));
/// let shop: axum::Router = axum::Router::new().nest("/seats", booking);
/// # }
/// ```
pub fn page(settings: PageSettings) -> Router {
    let headers = headers(&settings);
    let told = Bytes::from(told(&settings));
    let fixed = FILES.iter().map(|(path, of_type, text)| (*path, *of_type, Bytes::from_static(text.as_bytes())));
    let files = fixed.chain([("/settings.json", JSON, told)]);
    files.fold(Router::new(), |router, (path, of_type, body)| {
        let file = Arc::new(File::new(&headers, of_type, body));
        router.route(path, any(move |request: Request| Arc::clone(&file).answered(request, path == "/")))
    })
}

/// The page and nothing else: every path that is not one of its files is `NotFound`.
pub(crate) fn page_alone(settings: PageSettings) -> Router {
    page(settings).fallback(async |request: Request| {
        read_past(request.into_body(), RouteSettings::default().body_within).await;
        respond(answer::refusal(&Kind::NotFound.into()))
    })
}

/// Writes the page as files, for any static host; returns how many. Cloudflare Pages and Netlify read the headers of the
/// files from `_headers`; for all other hosts the policy stands in the page itself, too. What else is in the directory stays.
///
/// # Errors
/// What the disk says. Some of the files may be written then; repeating it writes all of them.
pub fn write_page(directory: &Path, settings: &PageSettings) -> io::Result<usize> {
    std::fs::create_dir_all(directory)?;
    let policy = policy(settings);
    // Browsers read `frame-ancestors` from a header alone.
    let policy = policy.split("; ").filter(|part| !part.starts_with("frame-ancestors")).collect::<Vec<_>>().join("; ");
    let in_head =
        format!("<meta charset=\"utf-8\">\n  <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
    let index = INDEX.replacen("<meta charset=\"utf-8\">", &in_head, 1);
    let lines = headers(settings)
        .iter()
        .map(|(name, value)| format!("  {name}: {}\n", value.to_str().unwrap_or_default()))
        .collect::<String>();
    let written = FILES.iter().filter(|(path, ..)| *path != "/").map(|(path, _, text)| {
        (path.trim_start_matches('/'), if *path == "/index.html" { index.as_str() } else { *text })
    });
    let (told, listed) = (told(settings), format!("/*\n{lines}"));
    let files: Vec<_> = written.chain([("settings.json", told.as_str()), ("_headers", listed.as_str())]).collect();
    files.iter().try_for_each(|(name, text)| std::fs::write(directory.join(name), text))?;
    Ok(files.len())
}

/// What `settings.json` says.
fn told(settings: &PageSettings) -> String {
    #[derive(Serialize)]
    struct Told<'a> {
        api: &'a str,
        map: Option<&'a MapKey>,
        demo: bool,
    }
    let api = settings.api.as_ref().map_or_else(|| ".".to_owned(), ApiUrl::text);
    let told = Told { api: &api, map: settings.map.as_ref(), demo: settings.demo };
    serde_json::to_string(&told).expect("texts and a bool are JSON")
}

/// The page runs no script but its own, and talks to the API alone.
fn policy(settings: &PageSettings) -> String {
    let api = settings.api.as_ref().map_or_else(String::new, ApiUrl::sources);
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{api}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// What goes with every file.
fn headers(settings: &PageSettings) -> HeaderMap {
    let policy =
        HeaderValue::from_str(&policy(settings)).expect("an address has no character that a header cannot have");
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (CACHE_CONTROL, "no-cache"),
    ];
    let mut headers: HeaderMap =
        fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers
}

/// A file, ready to be sent.
struct File {
    headers: HeaderMap,
    content_type: HeaderValue,
    /// What stands for its bytes, in quotes.
    tag: String,
    body: Bytes,
}

impl File {
    fn new(headers: &HeaderMap, content_type: &'static str, body: Bytes) -> Self {
        let tag = tag(&body);
        let mut headers = headers.clone();
        headers.insert(ETAG, HeaderValue::from_str(&tag).expect("digits in quotes"));
        Self { headers, content_type: HeaderValue::from_static(content_type), tag, body }
    }

    async fn answered(self: Arc<Self>, request: Request, is_index: bool) -> Response {
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            read_past(request.into_body(), RouteSettings::default().body_within).await;
            return not_this_method("GET, HEAD");
        }
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.headers.clone();
        if let Some(elsewhere) = elsewhere(&request).filter(|_| is_index) {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().remove(ETAG);
            response.headers_mut().insert(LOCATION, elsewhere);
        } else if self.is_known_to(request.headers()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
            *response.body_mut() = Body::from(self.body.clone());
        }
        response
    }

    /// Whether the reader has these bytes already.
    fn is_known_to(&self, headers: &HeaderMap) -> bool {
        is_known(headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok()), &self.tag)
    }
}

/// Nested under `/seats`, the page is at `/seats`, where its relative addresses would lead to what is beside that: the
/// same page under `/seats/` instead.
fn elsewhere(request: &Request) -> Option<HeaderValue> {
    let OriginalUri(uri) = request.extensions().get()?;
    let (_, last) = uri.path().rsplit_once('/').filter(|(_, last)| !last.is_empty())?;
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    HeaderValue::from_str(&format!("./{last}/index.html{query}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        text.parse::<ApiUrl>().ok().map(|url| url.text())
    }

    #[test]
    fn the_address_of_an_api_is_a_host_with_a_port_and_a_path_and_nothing_else() {
        for good in ["http://127.0.0.1:8080", "https://tickets.example", "https://tickets.example/api/v1"] {
            assert_eq!(read(good), Some(good.to_owned()));
            assert_eq!(read(&format!("{good}/")), Some(good.to_owned()));
        }
        for bad in [
            "",
            "tickets.example",
            "ftp://tickets.example",
            "http://",
            "http:///path",
            "http://user@tickets.example",
            "http://user:secret@tickets.example",
            "http://tickets.example?query",
            "http://tickets.example/?query",
            "http://tickets.example/#fragment",
            "http://tickets.example:",
            "http://tickets.example:+80",
            "http://tickets.example:99999",
            "http://[::1]:8080",
            "http://tickets.example;script-src",
            "http://tickets.example *",
            "http://*",
            "http://tickets.example/a b",
            "http://tickets.example\n",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_page_may_talk_to_its_api_and_to_nobody_else() {
        let policy = |api: Option<&str>| {
            let api = api.map(|api| api.parse().unwrap());
            let headers = headers(&PageSettings { api, ..PageSettings::default() });
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            policy.split("; ").find(|part| part.starts_with("connect-src")).unwrap().to_owned()
        };
        assert_eq!(policy(None), "connect-src 'self'");
        assert_eq!(policy(Some("http://a.example:80/b")), "connect-src 'self' http://a.example:80 ws://a.example:80");
        assert_eq!(policy(Some("https://a.example")), "connect-src 'self' https://a.example wss://a.example");
    }
}
