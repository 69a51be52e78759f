//! Who needs a container, and who is about to remove it: between the look at the route and the
//! engine's answer, one could take over what the other one kills.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<String, Count>>);

#[derive(Debug, Default)]
struct Count {
    uses: u32,
    removals: u32,
}

/// In force until it is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    claims: &'a Claims,
    id: String,
    field: fn(&mut Count) -> &mut u32,
}

impl Claims {
    /// None where the container is about to be removed.
    pub fn for_use(&self, container_id: &str) -> Option<Claim<'_>> {
        self.take(container_id, |c| &mut c.uses, |count| count.removals == 0)
    }

    /// None where somebody uses the container, or `routed` says that requests go there. A use lasts
    /// until the route is set, so that there is no moment between the two.
    pub fn for_removal(&self, container_id: &str, routed: impl FnOnce() -> bool) -> Option<Claim<'_>> {
        self.take(container_id, |c| &mut c.removals, |count| count.uses == 0 && !routed())
    }

    fn take(
        &self,
        id: &str,
        field: fn(&mut Count) -> &mut u32,
        may: impl FnOnce(&Count) -> bool,
    ) -> Option<Claim<'_>> {
        let mut counts = self.counts();
        if !may(counts.get(id).unwrap_or(&Count::default())) {
            return None;
        }
        *field(counts.entry(id.to_owned()).or_default()) += 1;
        Some(Claim { claims: self, id: id.to_owned(), field })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut counts = self.claims.counts();
        if let Some(count) = counts.get_mut(&self.id) {
            *(self.field)(count) -= 1;
            if count.uses == 0 && count.removals == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_or_routed_is_not_removed() {
        let claims = Claims::default();
        let (first, second) = (claims.for_use("a").unwrap(), claims.for_use("a").unwrap());
        assert!(claims.for_removal("a", || false).is_none());
        drop(first);
        assert!(claims.for_removal("a", || false).is_none());
        assert!(claims.for_removal("b", || false).is_some());
        drop(second);
        assert!(claims.for_removal("a", || true).is_none());
        assert!(claims.for_removal("a", || false).is_some());
        assert!(claims.counts().is_empty());
    }

    #[test]
    fn what_is_being_removed_is_not_taken_over() {
        let claims = Claims::default();
        let removal = claims.for_removal("a", || false).unwrap();
        assert!(claims.for_use("a").is_none());
        assert!(claims.for_removal("a", || false).is_some());
        drop(removal);
        assert!(claims.for_use("a").is_some());
    }
}
