//! A request's part of a trace.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

/// Middleware on routes that work is asked of, behind the token: nobody else begins a trace here.
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let span = begin_span(&request);
    let response = next.run(request).traced(&span).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail("");
    }
    response
}

fn begin_span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let Some(route) = route.filter(|_| tryon_trace::is_on()) else {
        return Span::default();
    };
    // A route answers one method: a client's own words are no part of this.
    let (route, method) = (route.as_str().to_owned(), request.method().to_string());
    let sent = TraceContext::from_headers(request.headers());
    let span = Span::of(sent.as_ref(), format!("{method} {route}"), Kind::Server);
    span.set("http.request.method", method);
    span.set("http.route", route);
    span
}
