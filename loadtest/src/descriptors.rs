//! How many sockets this process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed where there is no limit: what the tools of this crate ever need.
const PLENTY: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, because the usual soft limit is 1,024, and answers what holds
/// now.
#[must_use]
pub fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let holds = if raised.is_ok() { maximum } else { current };
    usize::try_from(holds.unwrap_or(PLENTY)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let holds = super::raise();
        let now = super::getrlimit(super::Resource::Nofile).current.unwrap_or(super::PLENTY);
        assert_eq!(u64::try_from(holds).ok(), Some(now));
    }
}
