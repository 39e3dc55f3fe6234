//! Spans, and what runs in them.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use futures::future::Either;
use opentelemetry::{
    Context, KeyValue, Value,
    context::{FutureExt as _, WithContext},
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};

use crate::{TRACER, TraceContext};

/// What a span's part is in what two processes do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None.
    Internal,
    /// It answers a request.
    Server,
    /// It makes one.
    Client,
    /// It hands on work that waits.
    Producer,
    /// It takes up work that waited.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

/// A part of the work, which ends when this is dropped. Empty where nothing is traced.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// One that is a part of what runs now, or the first of a trace.
    pub fn new(name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self::begin(name.into(), kind, None, Context::current)
    }

    /// One that goes on where `parent` is, or the first of a trace.
    pub fn of<N: Into<Cow<'static, str>>>(
        parent: Option<&TraceContext>,
        name: N,
        kind: Kind,
    ) -> Self {
        Self::begin(name.into(), kind, None, || root(parent))
    }

    /// The same for what began earlier.
    pub fn since(
        began: SystemTime,
        parent: Option<&TraceContext>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Self {
        Self::begin(name.into(), kind, Some(began), || root(parent))
    }

    /// Tells of a part of it that is over, and took so long from `began` on.
    pub fn part(&self, name: impl Into<Cow<'static, str>>, began: SystemTime, took: Duration) {
        let (Some(context), Some(tracer)) = (&self.0, TRACER.get()) else {
            return;
        };
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_start_time(began);
        let mut part = tracer.build_with_context(builder, context);
        part.end_with_timestamp(began.checked_add(took).unwrap_or(began));
    }

    fn begin(
        name: Cow<'static, str>,
        kind: Kind,
        began: Option<SystemTime>,
        parent: impl FnOnce() -> Context,
    ) -> Self {
        let Some(tracer) = TRACER.get() else {
            return Self(None);
        };
        let mut builder = SpanBuilder::from_name(name).with_kind(kind.into());
        if let Some(began) = began {
            builder = builder.with_start_time(began);
        }
        let parent = parent();
        let span = tracer.build_with_context(builder, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Says something of it.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that something happened in it now.
    pub fn event<const N: usize>(&self, name: &'static str, told: [(&'static str, i64); N]) {
        if let Some(context) = &self.0 {
            let told = told.map(|(key, value)| KeyValue::new(key, value));
            context.span().add_event(name, told.into());
        }
    }

    /// Says that it failed. `why` is sent as it is.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(why));
        }
    }

    /// Says that it is over, where others hold it longer.
    pub fn end(&self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }

    /// Where others go on after it.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().and_then(TraceContext::of)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Not left to the last that runs in it: it may be a task that goes on.
        self.end();
    }
}

/// Says something of the span that what calls this runs in.
pub fn note(key: &'static str, value: impl Into<Value>) {
    if TRACER.get().is_some() {
        let told = KeyValue::new(key, value);
        Context::map_current(|context| context.span().set_attribute(told));
    }
}

/// Says that it failed. `why` is sent as it is.
pub fn note_failure(why: impl Into<Cow<'static, str>>) {
    if TRACER.get().is_some() {
        let status = Status::error(why);
        Context::map_current(|context| context.span().set_status(status));
    }
}

fn root(parent: Option<&TraceContext>) -> Context {
    parent.map_or_else(Context::new, TraceContext::remote)
}

/// A future that runs in a span, or as it is.
pub type InSpan<F> = Either<WithContext<F>, F>;

/// Has a future run in a span: what it begins is a part of that.
pub trait Traced: Future + Sized {
    /// This future in `span`, which ends when it is dropped and not with the future.
    fn traced(self, span: &Span) -> InSpan<Self> {
        match &span.0 {
            Some(context) => Either::Left(self.with_context(context.clone())),
            None => Either::Right(self),
        }
    }

    /// This future as a part of what runs now, also where it is polled by another task.
    fn traced_here(self) -> InSpan<Self> {
        match TRACER.get() {
            Some(_) => Either::Left(self.with_context(Context::current())),
            None => Either::Right(self),
        }
    }
}

impl<F: Future> Traced for F {}
