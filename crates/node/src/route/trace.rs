//! A request's part of a trace.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use tryon_trace::{Span, Traced as _};

/// Middleware on routes that work is asked of, behind the token: nobody else begins a trace here.
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let span = begin_span(&request);
    let response = next.run(request).traced(&span).await;
    span.answered(response.status());
    response
}

fn begin_span(request: &Request) -> Span {
    let Some(route) = request.extensions().get::<MatchedPath>() else {
        return Span::default();
    };
    // A route answers one method: a client's own words are no part of this.
    let method = request.method().as_str();
    Span::answer(method, Some(route.as_str()), request.headers())
}
