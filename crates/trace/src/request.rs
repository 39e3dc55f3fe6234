//! A server's part of a request.

use http::{HeaderMap, StatusCode};

use crate::{Kind, Span, TraceContext, is_on};

impl Span {
    /// The answer to a request, which goes on where its sender says. `route` is what every request to
    /// the same handler has of its address.
    pub fn answer(method: &str, route: Option<&str>, headers: &HeaderMap) -> Self {
        if !is_on() {
            return Self::default();
        }
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let sent = TraceContext::from_headers(headers);
        let span = Self::of(sent.as_ref(), name, Kind::Server);
        span.set("http.request.method", method.to_owned());
        if let Some(route) = route {
            span.set("http.route", route.to_owned());
        }
        span
    }

    /// Says how the request was answered.
    pub fn answered(&self, status: StatusCode) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.fail("");
        }
    }
}
