//! Who may act: one holder per name, a fence that goes up with every new holder, on the database's
//! clock. Environments' deployers and background duties, of which several replicas share one, hold
//! leases.

pub mod store;
