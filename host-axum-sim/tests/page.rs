//! The page: its files, what goes with them, who may have them, and where it may be put.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use booking_core::MapKey;
use booking_core::time::Millis;
use host_axum_sim::engine::{Engine, Gateway, Settings};
use host_axum_sim::{Auth, Host, PageSettings, RouteSettings, ServeSettings, page, router, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

fn host() -> Host {
    Host::new(Engine::new(Settings { gateway: Gateway::Mock { delay: Millis(0) }, ..Settings::default() }))
}

async fn ask(app: &Router, method: &str, path: &str, tags: Option<&str>) -> (u16, HeaderMap, String) {
    let request = Request::builder().method(method).uri(path);
    let request = tags.into_iter().fold(request, |request, tags| request.header("if-none-match", tags));
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

fn web() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("web")
}

#[tokio::test]
async fn every_file_of_the_page_is_served_as_it_is() {
    let app = page(PageSettings::default());
    let mut found = 0;
    for entry in std::fs::read_dir(web()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Files that only say how to serve the others are no files of the page.
        if ["_headers", ".assetsignore", "settings.json"].contains(&name.as_str()) {
            continue;
        }
        let of_type = match name.rsplit_once('.').unwrap().1 {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{name}: what is a {other}?"),
        };
        let (status, headers, body) = ask(&app, "GET", &format!("/{name}"), None).await;
        assert_eq!(status, 200, "{name} is to be in the table of src/page.rs");
        assert_eq!(headers["content-type"], of_type, "{name}");
        assert_eq!(body, std::fs::read_to_string(web().join(&name)).unwrap(), "{name}");
        found += 1;
    }
    assert!(found > 8);
    let (status, _, body) = ask(&app, "GET", "/", None).await;
    assert_eq!((status, body), (200, std::fs::read_to_string(web().join("index.html")).unwrap()));
}

#[tokio::test]
async fn the_page_is_told_whom_to_ask_and_what_to_show() {
    let told = async |settings: PageSettings| {
        let (status, headers, body) = ask(&page(settings), "GET", "/settings.json", None).await;
        assert_eq!((status, &headers["content-type"]), (200, &"application/json".parse().unwrap()));
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let plain = std::fs::read_to_string(web().join("settings.json")).unwrap();
    assert_eq!(told(PageSettings::default()).await, serde_json::from_str::<Value>(&plain).unwrap());
    let settings = PageSettings {
        api: Some("https://tickets.example/api/".parse().unwrap()),
        map: Some(MapKey::parse("arena:A").unwrap()),
        demo: true,
    };
    let expected = json!({ "api": "https://tickets.example/api", "map": "arena:A", "demo": true });
    assert_eq!(told(settings).await, expected);
}

#[tokio::test]
async fn a_file_says_what_a_browser_may_do_with_it_as_any_server_of_these_files_does() {
    let app = page(PageSettings::default());
    // The headers that another platform sends with these files.
    let elsewhere = std::fs::read_to_string(web().join("_headers")).unwrap();
    let elsewhere: Vec<(&str, &str)> = elsewhere
        .lines()
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| line.trim().split_once(": "))
        .collect();
    assert!(elsewhere.iter().any(|(name, _)| *name == "Content-Security-Policy"));
    for path in ["/", "/app.js", "/style.css", "/settings.json"] {
        let (_, headers, _) = ask(&app, "GET", path, None).await;
        for (name, value) in &elsewhere {
            assert_eq!(headers[name.to_lowercase()], *value, "{path}");
        }
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
    }
    let api = Some("http://127.0.0.1:8080/api".parse().unwrap());
    let (_, headers, _) = ask(&page(PageSettings { api, ..PageSettings::default() }), "GET", "/", None).await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("; connect-src 'self' http://127.0.0.1:8080 ws://127.0.0.1:8080; "), "{policy}");
}

#[tokio::test]
async fn a_file_that_a_browser_has_is_not_sent_again() {
    let app = page(PageSettings::default());
    let (_, headers, _) = ask(&app, "GET", "/app.js", None).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.len() > 30, "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let (status, headers, body) = ask(&app, "GET", "/app.js", Some(&known)).await;
        assert_eq!((status, body.as_str()), (304, ""), "{known}");
        assert_eq!(headers["etag"], tag);
        assert!(headers.contains_key("content-security-policy") && headers.contains_key("cache-control"));
    }
    for other in ["\"other\"", tag.trim_matches('"')] {
        assert_eq!(ask(&app, "GET", "/app.js", Some(other)).await.0, 200, "{other}");
    }
    assert_eq!(ask(&app, "GET", "/style.css", Some(&tag)).await.0, 200, "another file");
    let (_, told, _) = ask(&app, "GET", "/settings.json", None).await;
    let demo = page(PageSettings { demo: true, ..PageSettings::default() });
    let (status, _, _) = ask(&demo, "GET", "/settings.json", Some(told["etag"].to_str().unwrap())).await;
    assert_eq!(status, 200, "other settings");
}

#[tokio::test]
async fn files_are_read_and_nothing_else() {
    let app = page(PageSettings::default());
    let (status, headers, body) = ask(&app, "HEAD", "/app.js", None).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert_ne!(headers["content-length"], "0");
    for (method, path) in [("POST", "/"), ("DELETE", "/app.js"), ("PUT", "/settings.json"), ("OPTIONS", "/")] {
        let (status, headers, body) = ask(&app, method, path, None).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["kind"], &body["code"]), (405, &json!("MethodNotAllowed"), &json!(405)), "{path}");
        assert_eq!(headers["allow"], "GET, HEAD");
    }
    assert_eq!(ask(&app, "GET", "/nothing.js", None).await.0, 404);
    assert_eq!(ask(&app, "GET", "/_headers", None).await.0, 404);
}

#[tokio::test]
async fn it_is_nested_or_merged_with_the_api_or_by_itself() {
    let booking = router(host(), RouteSettings::default()).merge(page(PageSettings::default()));
    for app in [Router::new().nest("/hall/seats", booking.clone()), Router::new().nest_service("/hall/seats", booking)]
    {
        for path in ["/hall/seats/index.html", "/hall/seats/app.js", "/hall/seats/settings.json", "/hall/seats/health"]
        {
            assert_eq!(ask(&app, "GET", path, None).await.0, 200, "{path}");
        }
        // Its addresses are relative: without a `/` at the end they would lead beside it.
        let (status, headers, _) = ask(&app, "GET", "/hall/seats?map=arena:A", None).await;
        assert_eq!((status, headers["location"].to_str().unwrap()), (307, "./seats/index.html?map=arena:A"));
        assert_eq!(ask(&app, "GET", "/app.js", None).await.0, 404);
    }
    let app = Router::new().nest("/seats/", page(PageSettings::default()));
    assert_eq!(ask(&app, "GET", "/seats/", None).await.0, 200);
    let index = std::fs::read_to_string(web().join("index.html")).unwrap();
    for attribute in ["href=\"", "src=\""] {
        for address in index.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(!address.starts_with('/') && !address.contains("://"), "{address} is not relative");
        }
    }
}

async fn served(settings: ServeSettings) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, host(), settings, std::future::pending()));
    address
}

/// The first line and the body of what is answered.
async fn get(address: std::net::SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_page_is_open_where_tokens_guard_everything_else() {
    let auth = Auth::new(["public-token-of-a-shop"], ["admin-token-of-a-shop"]).unwrap();
    let routes = RouteSettings { auth, ..RouteSettings::default() };
    let address = served(ServeSettings { routes, ..ServeSettings::default() }).await;
    for path in ["/", "/app.js", "/settings.json"] {
        assert_eq!(get(address, path).await.0, "HTTP/1.1 200 OK", "{path}");
    }
    for path in ["/metrics", "/openapi.json", "/Ticket/a/get", "/nothing.js"] {
        let (head, body) = get(address, path).await;
        assert!(head.starts_with("HTTP/1.1 401") && body.contains("Unauthorized"), "{path}: {head} {body}");
    }
}

#[tokio::test]
async fn what_is_none_of_its_files_is_nowhere_as_before() {
    let address = served(ServeSettings::default()).await;
    let (head, body) = get(address, "/nothing.js").await;
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("\"NotFound\""), "{head} {body}");
    let address = served(ServeSettings { page: None, ..ServeSettings::default() }).await;
    assert!(get(address, "/").await.0.starts_with("HTTP/1.1 404"), "there need not be one");
    let alone = router(host(), RouteSettings::default());
    assert_eq!(ask(&alone, "GET", "/", None).await.0, 404, "nor is there one in what is embedded");
}
