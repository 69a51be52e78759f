//! Host ports for containers whose bridge address is out of reach.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a port that another program holds is left alone.
const QUARANTINE: Duration = Duration::from_mins(10);

/// Ports from `first` to `last`, both included; as text `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// The text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of ports; expected FIRST-LAST, e.g. 20000-20999, from 1024 to 65535")]
pub struct InvalidPortRange(String);

impl FromStr for PortRange {
    type Err = InvalidPortRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(first, last)| {
            Some(Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        parsed
            .filter(|range| range.first >= 1024 && range.first <= range.last)
            .ok_or_else(|| InvalidPortRange(text.to_owned()))
    }
}

impl TryFrom<String> for PortRange {
    type Error = InvalidPortRange;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Every port of the range is in use or in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no port is free between {first} and {last}: {leased} are used by containers, {quarantined} by \
     other programs; widen the range"
)]
pub struct NoPort {
    first: u16,
    last: u16,
    leased: usize,
    quarantined: usize,
}

/// Gives each container a port of its own.
#[derive(Debug)]
pub struct PortPool {
    range: PortRange,
    state: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    leased: BTreeSet<u16>,
    /// Until when each port is left alone.
    quarantined: BTreeMap<u16, Instant>,
}

impl PortPool {
    pub fn new(range: PortRange) -> Self {
        Self { range, state: Mutex::default() }
    }

    /// The lowest free port.
    pub fn lease(&self, now: Instant) -> Result<u16, NoPort> {
        let mut pool = self.pool();
        pool.quarantined.retain(|_, until| *until > now);
        let free = (self.range.first..=self.range.last)
            .find(|port| !pool.leased.contains(port) && !pool.quarantined.contains_key(port));
        let Some(port) = free else {
            return Err(NoPort {
                first: self.range.first,
                last: self.range.last,
                leased: pool.leased.len(),
                quarantined: pool.quarantined.len(),
            });
        };
        pool.leased.insert(port);
        Ok(port)
    }

    /// Another program holds the port.
    pub fn quarantine(&self, port: u16, now: Instant) {
        let mut pool = self.pool();
        pool.leased.remove(&port);
        pool.quarantined.insert(port, now + QUARANTINE);
    }

    /// A container that was there before us has the port.
    pub fn claim(&self, port: u16) {
        self.pool().leased.insert(port);
    }

    /// The port's container has gone.
    pub fn release(&self, port: u16) {
        self.pool().leased.remove(&port);
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!("20000-20999".parse(), Ok(PortRange { first: 20_000, last: 20_999 }));
        assert_eq!("2000-2000".parse(), Ok(PortRange { first: 2000, last: 2000 }));
        for wrong in ["", "2000", "80-90", "3000-2000", "2000-70000", "-2000", "a-b"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_port_is_given_once_and_a_taken_one_rests() {
        let pool = PortPool::new(PortRange { first: 100, last: 101 });
        let now = Instant::now();
        assert_eq!(pool.lease(now), Ok(100));
        pool.quarantine(100, now);
        assert_eq!(pool.lease(now), Ok(101));
        assert_eq!(
            pool.lease(now).unwrap_err().to_string(),
            "no port is free between 100 and 101: 1 are used by containers, 1 by other programs; \
             widen the range"
        );
        assert_eq!(pool.lease(now + QUARANTINE), Ok(100));
    }

    #[test]
    fn ports_of_containers_that_were_there_are_not_given_away() {
        let pool = PortPool::new(PortRange { first: 100, last: 101 });
        let now = Instant::now();
        pool.claim(100);
        assert_eq!(pool.lease(now), Ok(101));
        assert!(pool.lease(now).is_err());
        pool.release(100);
        assert_eq!(pool.lease(now), Ok(100));
    }
}
