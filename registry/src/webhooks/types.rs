use super::kind::EventType;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Nothing is sent, and what happens meanwhile is not kept for it.
    Disabled,
}

impl Status {
    /// In the order of MLflow's proto, which counts from 1.
    pub const ALL: [Self; 2] = [Self::Active, Self::Disabled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }
}

/// A subscription of a receiver to events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: i64,
    pub webhook_id: String,
    pub name: String,
    pub description: Option<String>,
    /// As it was given.
    pub url: String,
    /// By name.
    pub events: Vec<EventType>,
    pub status: Status,
    /// Encrypted; `None`: requests are not signed.
    pub sealed_secret: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Pending,
    Delivered,
    /// Given up, or refused by the receiver.
    Failed,
    /// Its webhook was disabled or deleted before it was sent.
    Cancelled,
}

impl DeliveryState {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One event on its way to one receiver, or what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: i64,
    /// The same in every attempt.
    pub delivery_id: String,
    pub webhook_id: String,
    pub event: EventType,
    pub state: DeliveryState,
    pub attempts: i64,
    pub created_at_ms: i64,
    pub due_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    /// What came of the newest attempt.
    pub response_status: Option<i64>,
    pub response_body: Option<String>,
    pub error: Option<String>,
    pub duration_ms: Option<i64>,
    /// The delivery whose body this one sends again.
    pub replay_of: Option<String>,
}
