//! A client limit as the `RateLimit` fields state it to whoever has exceeded it (draft-ietf-httpapi-ratelimit-headers-11).
//!
//! **Invariants**: the fields are valid structured fields: names are what the configuration allows, numbers whole; `t` is never
//! later than `Retry-After`, which takes precedence.
//! **Not here**: the decision (`admission::client`), the rest of the answer (`answer`).

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A client limit as the `RateLimit` fields state it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPolicy {
    /// Name of the policy.
    pub name: String,
    /// What it allows.
    pub quota: Quota,
}

/// What a client limit allows, in the draft's units (`qu`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// So many requests in a window; `requests`, which is what goes without saying.
    Requests {
        /// Requests in the window.
        burst: u32,
        /// The window.
        window: Duration,
        /// Until the next request would be allowed.
        reset: Duration,
    },
    /// So many requests open at once without one of them being refused; `concurrent-requests`. It has no window, and when one
    /// of them ends is not known exactly: `Retry-After` says what is expected.
    Concurrent(u64),
}

impl LimitPolicy {
    /// Says in `fields` that nothing is left of it, and what it is.
    pub fn state(&self, fields: &mut HeaderMap) {
        let name = &self.name;
        let (policy, state) = match self.quota {
            Quota::Requests { burst, window, reset } => {
                let (window, reset) = (window.as_secs().max(1), whole_seconds(reset));
                (format!("\"{name}\";q={burst};w={window}"), format!("\"{name}\";r=0;t={reset}"))
            }
            Quota::Concurrent(requests) => {
                (format!("\"{name}\";q={requests};qu=\"concurrent-requests\""), format!("\"{name}\";r=0"))
            }
        };
        for (name, value) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                fields.insert(name, value);
            }
        }
    }
}

/// Rounded up: whoever keeps to it is not early.
pub(super) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and state of `quota` under the name `l`.
    fn stated(quota: Quota) -> [String; 2] {
        let mut fields = HeaderMap::new();
        LimitPolicy { name: "l".to_owned(), quota }.state(&mut fields);
        [RATELIMIT_POLICY, RATELIMIT].map(|name| fields[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_client_limit_is_stated_as_the_draft_has_it() {
        let (window, reset) = (Duration::from_secs(4), Duration::from_millis(1_200));
        let rate = Quota::Requests { burst: 20, window, reset };
        assert_eq!(stated(rate), ["\"l\";q=20;w=4", "\"l\";r=0;t=2"]);
        assert_eq!(stated(Quota::Concurrent(3)), ["\"l\";q=3;qu=\"concurrent-requests\"", "\"l\";r=0"]);
    }
}
