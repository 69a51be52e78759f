//! Two deployers never act for the same environment.

use super::{DeploymentsError, check_environment, lease_name};
use crate::{app::App, db::Conn, leases::store as leases};
use waybill_client::api::{AcquireLease, Lease};

const TTL_MS: std::ops::RangeInclusive<i64> = 1_000..=60_000;
const HOLDER_MAX_CHARS: usize = 200;

/// Takes or renews the lease on an environment, by the database's clock.
pub async fn acquire_lease(
    app: &App,
    environment: &str,
    request: AcquireLease,
) -> Result<Lease, DeploymentsError> {
    check_environment(environment)?;
    if !TTL_MS.contains(&request.ttl_ms) {
        return Err(DeploymentsError::Invalid {
            field: "ttl_ms",
            value: request.ttl_ms.to_string(),
            expected: "1,000 to 60,000",
        });
    }
    let length = request.holder.chars().count();
    if length == 0 || length > HOLDER_MAX_CHARS || request.holder.chars().any(char::is_control) {
        return Err(DeploymentsError::Invalid {
            field: "holder",
            value: format!("{length} characters"),
            expected: "1 to 200 characters, none of them a control character",
        });
    }
    let input = (environment.to_owned(), request);
    app.db.write(input, |tx, (environment, request)| Box::pin(take(tx, environment, request))).await
}

async fn take(tx: &mut Conn, environment: &str, request: &AcquireLease) -> Result<Lease, DeploymentsError> {
    let name = lease_name(environment);
    let now_ms = tx.now_ms().await?;
    if let Some(row) = leases::acquire(tx, &name, &request.holder, now_ms, request.ttl_ms).await? {
        return Ok(Lease {
            environment: environment.to_owned(),
            holder: row.holder,
            fence: row.fence,
            expires_at_ms: row.expires_at_ms,
        });
    }
    let held = leases::find(tx, &name).await?;
    Err(DeploymentsError::LeaseHeld {
        environment: environment.to_owned(),
        holder: held.as_ref().map(|row| row.holder.clone()).unwrap_or_default(),
        remaining_ms: held.map_or(0, |row| (row.expires_at_ms - now_ms).max(0)),
    })
}

/// Refuses a fence that is not the lease's, and holds the lease until the transaction ends.
pub async fn check_fence(tx: &mut Conn, environment: &str, fence: i64) -> Result<(), DeploymentsError> {
    let name = lease_name(environment);
    if leases::holds(tx, &name, fence).await? {
        return Ok(());
    }
    let current = leases::find(tx, &name).await?.map_or(0, |row| row.fence);
    Err(DeploymentsError::StaleFence { environment: environment.to_owned(), fence, current })
}
