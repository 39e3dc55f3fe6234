//! What of a trace crosses processes: W3C Trace Context, level 1
//! (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};

use crate::TRACER;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `traceparent`: one of a later version may have more than we know of.
const LONGEST_PARENT: usize = 256;

/// The longest `tracestate`, which is what everybody has to pass on at least. A longer one is left out.
const LONGEST_STATE: usize = 512;

/// The most members of a `tracestate`.
const MOST_MEMBERS: usize = 32;

/// Where a trace goes on: which one it is, the span that others follow, and whether it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// What the headers of a request say; `None` where they say nothing that can be understood, which
    /// is never a reason to refuse a request.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(PARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            return None;
        };
        let states = headers.get_all(STATE).iter().map(HeaderValue::to_str);
        let state = states.collect::<Result<Vec<_>, _>>();
        Self::new(parent.to_str().ok()?, &state.unwrap_or_default().join(","))
    }

    /// What [`ToString`] wrote down.
    pub fn parse(text: &str) -> Option<Self> {
        let (parent, state) = text.split_once(' ').unwrap_or((text, ""));
        Self::new(parent, state)
    }

    fn new(parent: &str, state: &str) -> Option<Self> {
        let (trace, span, flags) = parse_parent(parent)?;
        let state = parse_state(state).unwrap_or_default();
        Some(Self(SpanContext::new(trace, span, flags, true, state)))
    }

    /// Where what runs now goes on, if it is traced.
    pub fn current() -> Option<Self> {
        TRACER.get()?;
        Context::map_current(Self::of)
    }

    /// The same for what is a part of `whole`: that itself, where what runs now is of another trace or
    /// of none, because who asked for it does not know where it came from.
    pub fn current_within(whole: Option<Self>) -> Option<Self> {
        let current = Self::current();
        let is_part = |current: &Self| {
            let whole = whole.as_ref();
            whole.is_none_or(|whole| whole.0.trace_id() == current.0.trace_id())
        };
        current.filter(is_part).or(whole)
    }

    pub(crate) fn of(context: &Context) -> Option<Self> {
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self(context))
    }

    pub(crate) fn remote(&self) -> Context {
        Context::new().with_remote_span_context(self.0.clone())
    }

    /// The headers that tell it to whom a request is sent.
    pub fn headers(&self) -> HeaderMap {
        let state = self.0.trace_state().header();
        let state = Some(state).filter(|state| !state.is_empty());
        let state = state.and_then(|state| HeaderValue::try_from(state).ok());
        let parent = HeaderValue::try_from(self.parent()).ok();
        let named = [parent.map(|it| (PARENT, it)), state.map(|it| (STATE, it))];
        named.into_iter().flatten().collect()
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// The id of the span that others follow: 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        self.0.span_id().to_string()
    }

    fn parent(&self) -> String {
        let (trace, span) = (self.0.trace_id(), self.0.span_id());
        format!("00-{trace}-{span}-{:02x}", self.0.trace_flags().to_u8() & 1)
    }
}

/// The headers that tell what runs now to whom a request is sent; none where it is not traced.
pub fn headers() -> HeaderMap {
    TraceContext::current().map_or_else(HeaderMap::new, |context| context.headers())
}

/// One line, to be kept with what waits: at most 569 bytes of ASCII.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parent())?;
        match self.0.trace_state().header() {
            state if state.is_empty() => Ok(()),
            state => write!(f, " {state}"),
        }
    }
}

/// `version-trace-span-flags`. What a later version adds is behind what this one has, and passed over.
fn parse_parent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    if text.len() > LONGEST_PARENT {
        return None;
    }
    let mut parts = text.split('-');
    let mut next = |length| {
        let part = parts.next().filter(|part| part.len() == length)?;
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        part.bytes().all(is_digit).then_some(part)
    };
    let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1);
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, flags))
}

/// All of it or nothing: who is in it is told nothing by half of a list.
fn parse_state(text: &str) -> Option<TraceState> {
    if text.len() > LONGEST_STATE {
        return None;
    }
    let members = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for member in members {
        let (key, value) = member.split_once('=')?;
        let known = pairs.iter().any(|(other, _)| *other == key);
        let printable = value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
        if known || key.is_empty() || value.is_empty() || !printable || pairs.len() == MOST_MEMBERS
        {
            return None;
        }
        pairs.push((key, value));
    }
    TraceState::from_key_value(pairs).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parent(version: &str, flags: &str) -> String {
        format!("{version}-{TRACE}-{SPAN}-{flags}")
    }

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(PARENT, parents), (STATE, states)] {
            for value in values {
                headers.append(&name, HeaderValue::try_from(*value).unwrap());
            }
        }
        headers
    }

    #[test]
    fn what_was_sent_is_passed_on() {
        let sent = parent("00", "01");
        let context = TraceContext::from_headers(&headers(&[&sent], &["a=1", " b=2 ,, c@d=x y"]));
        let context = context.unwrap();
        assert_eq!(
            (context.trace_id(), context.span_id()),
            (TRACE.to_owned(), SPAN.to_owned())
        );
        assert_eq!(context.headers(), headers(&[&sent], &["a=1,b=2,c@d=x y"]));
        assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        let bare = TraceContext::parse(&parent("00", "00")).unwrap();
        assert_eq!(bare.headers(), headers(&[&parent("00", "00")], &[]));
    }

    #[test]
    fn a_later_version_may_say_more_and_only_the_first_flag_is_known() {
        let later = format!("{}-what-is-new", parent("cc", "ff"));
        let context = TraceContext::parse(&later).unwrap();
        assert_eq!(context.to_string(), parent("00", "01"));
    }

    #[test]
    fn what_is_no_parent_is_passed_over() {
        let zeros = |length: usize| "0".repeat(length);
        let wrong = [
            String::new(),
            parent("ff", "01"),
            parent("0", "01"),
            parent("00", "1"),
            parent("00", "0g"),
            format!("{}-more", parent("00", "01")),
            parent("00", "01").to_uppercase(),
            format!("00-{}-{SPAN}-01", zeros(32)),
            format!("00-{TRACE}-{}-01", zeros(16)),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(300)),
            format!("+0-{TRACE}-{SPAN}-01"),
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
        let twice = parent("00", "01");
        assert_eq!(
            TraceContext::from_headers(&headers(&[&twice, &twice], &[])),
            None
        );
        assert_eq!(TraceContext::from_headers(&headers(&[], &["a=1"])), None);
    }

    #[test]
    fn a_state_that_is_none_is_left_out_and_the_parent_counts() {
        let many = (0..33)
            .map(|number| format!("k{number}=1"))
            .collect::<Vec<_>>();
        let long = format!("a={}", "x".repeat(512));
        let wrong = [
            "a",
            "a=1,a=2",
            "A=1",
            "a=",
            "a=b=c",
            "=1",
            "a=\t1",
            &many.join(","),
            &long,
        ];
        for state in wrong {
            let context = TraceContext::from_headers(&headers(&[&parent("00", "01")], &[state]));
            assert_eq!(context.unwrap().to_string(), parent("00", "01"), "{state}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_does_harm(parent in "[-0-9a-f]{0,80}|.{0,60}", state in ".{0,600}") {
            if let Some(context) = TraceContext::new(&parent, &state) {
                let text = context.to_string();
                prop_assert!(text.len() <= 569 && text.is_ascii());
                prop_assert_eq!(TraceContext::parse(&text), Some(context));
            }
        }
    }
}
