//! An axum handler that does nothing: what HTTP alone costs here.

use std::io;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

/// As long as what `Ticket/get` says of a ticket that nobody has spoken to.
pub const BODY: &str = r#"{"status":"AVAILABLE","reservedBy":null,"reservedUntil":null,"version":0}"#;

/// Serves it.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let app = Router::new().route("/Ticket/{id}/get", get(|| async { ([(CONTENT_TYPE, "application/json")], BODY) }));
    axum::serve(listener, app).await
}
