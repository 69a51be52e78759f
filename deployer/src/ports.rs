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
    leased: BTreeMap<u16, Holder>,
    /// Until when each port is left alone.
    quarantined: BTreeMap<u16, Instant>,
}

#[derive(Debug)]
struct Holder {
    environment: String,
    /// Since when a container has it; none while one is started.
    since: Option<Instant>,
}

/// A port for a container that is started. It is free again when that does not come to a good end,
/// also when nobody waits for it any more.
#[derive(Debug)]
pub struct PortLease<'a> {
    pool: &'a PortPool,
    pub port: u16,
    done: bool,
}

impl PortLease<'_> {
    /// The container runs.
    pub fn keep(mut self, now: Instant) {
        self.done = true;
        if let Some(holder) = self.pool.pool().leased.get_mut(&self.port) {
            holder.since = Some(now);
        }
    }

    /// Another program holds the port.
    pub fn quarantine(mut self, now: Instant) {
        self.done = true;
        let mut pool = self.pool.pool();
        pool.leased.remove(&self.port);
        pool.quarantined.insert(self.port, now + QUARANTINE);
    }
}

impl Drop for PortLease<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.pool.pool().leased.remove(&self.port);
        }
    }
}

impl PortPool {
    pub fn new(range: PortRange) -> Self {
        Self { range, state: Mutex::default() }
    }

    /// The lowest free port.
    pub fn lease(&self, environment: &str, now: Instant) -> Result<PortLease<'_>, NoPort> {
        let mut pool = self.pool();
        pool.quarantined.retain(|_, until| *until > now);
        let free = (self.range.first..=self.range.last)
            .find(|port| !pool.leased.contains_key(port) && !pool.quarantined.contains_key(port));
        let Some(port) = free else {
            return Err(NoPort {
                first: self.range.first,
                last: self.range.last,
                leased: pool.leased.len(),
                quarantined: pool.quarantined.len(),
            });
        };
        pool.leased.insert(port, Holder { environment: environment.to_owned(), since: None });
        Ok(PortLease { pool: self, port, done: false })
    }

    /// Exactly these ports belong to the environment's containers, besides those of containers that
    /// came up after the engine was `asked`.
    pub fn observe(&self, environment: &str, ports: &BTreeSet<u16>, asked: Instant) {
        let mut pool = self.pool();
        pool.leased.retain(|port, holder| {
            let later = holder.since.is_none_or(|since| since >= asked);
            holder.environment != environment || later || ports.contains(port)
        });
        for port in ports {
            pool.leased
                .entry(*port)
                .or_insert_with(|| Holder { environment: environment.to_owned(), since: Some(asked) });
        }
    }

    /// The port's container has gone.
    pub fn release(&self, port: u16) {
        let mut pool = self.pool();
        if pool.leased.get(&port).is_some_and(|holder| holder.since.is_some()) {
            pool.leased.remove(&port);
        }
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

    fn pool() -> PortPool {
        PortPool::new(PortRange { first: 100, last: 101 })
    }

    #[test]
    fn a_port_is_given_once_and_a_taken_one_rests() {
        let (pool, now) = (pool(), Instant::now());
        let first = pool.lease("staging", now).unwrap();
        assert_eq!(first.port, 100);
        first.quarantine(now);
        let second = pool.lease("staging", now).unwrap();
        assert_eq!(second.port, 101);
        second.keep(now);
        assert_eq!(
            pool.lease("staging", now).unwrap_err().to_string(),
            "no port is free between 100 and 101: 1 are used by containers, 1 by other programs; \
             widen the range"
        );
        assert_eq!(pool.lease("staging", now + QUARANTINE).unwrap().port, 100);
    }

    #[test]
    fn a_port_whose_container_did_not_come_up_is_free_again() {
        let (pool, now) = (pool(), Instant::now());
        let lease = pool.lease("staging", now).unwrap();
        pool.observe("staging", &BTreeSet::new(), now);
        assert_eq!(pool.lease("staging", now).unwrap().port, 101);
        drop(lease);
        assert_eq!(pool.lease("staging", now).unwrap().port, 100);
    }

    #[test]
    fn ports_follow_the_containers_that_are_there() {
        let (pool, now) = (pool(), Instant::now());
        pool.observe("staging", &BTreeSet::from([100]), now);
        pool.observe("production", &BTreeSet::new(), now);
        let lease = pool.lease("production", now).unwrap();
        assert_eq!(lease.port, 101);
        lease.keep(now + Duration::from_secs(1));
        // Asked before that container came up.
        pool.observe("production", &BTreeSet::new(), now);
        assert!(pool.lease("staging", now).is_err());
        pool.observe("staging", &BTreeSet::new(), now + Duration::from_secs(1));
        assert_eq!(pool.lease("staging", now).unwrap().port, 100);
        pool.release(101);
        pool.observe("staging", &BTreeSet::from([100]), now);
        assert_eq!(pool.lease("staging", now).unwrap().port, 101);
    }
}
