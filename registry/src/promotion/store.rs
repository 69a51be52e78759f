use crate::{
    db::{Conn, DbError},
    models::stage,
};
use waybill_client::api::{Promotion, PromotionKind, Stage};

#[derive(sqlx::FromRow)]
struct Row {
    promotion_id: String,
    kind: String,
    name: String,
    version: i64,
    version_uid: String,
    from_stage: String,
    to_stage: String,
    actor: String,
    reason: Option<String>,
    note: Option<String>,
    rollout_id: Option<String>,
    applied_at_ms: i64,
}

impl Row {
    fn read(self) -> Result<Promotion, DbError> {
        let read_stage = |text: &str| {
            stage::parse(text)
                .ok_or_else(|| DbError::Corrupt { what: "promotion stage", detail: format!("{text:?}") })
        };
        Ok(Promotion {
            kind: if self.kind == "rollback" { PromotionKind::Rollback } else { PromotionKind::Promotion },
            from: read_stage(&self.from_stage)?,
            to: read_stage(&self.to_stage)?,
            promotion_id: self.promotion_id,
            name: self.name,
            version: self.version,
            version_uid: self.version_uid,
            actor: self.actor,
            reason: self.reason,
            applied_at_ms: self.applied_at_ms,
            rollout_id: self.rollout_id,
            note: self.note,
        })
    }
}

macro_rules! select_promotions {
    ($rest:literal) => {
        concat!(
            "SELECT p.promotion_id, p.kind, m.name, v.version, p.version_uid, p.from_stage, p.to_stage,
                    p.actor, p.reason, p.note, p.rollout_id, p.applied_at_ms
             FROM promotions p JOIN model_versions v ON v.uid = p.version_uid
             JOIN registered_models m ON m.model_id = p.model_id ",
            $rest
        )
    };
}

/// Adds an applied transition.
pub async fn insert(tx: &mut Conn, model_id: i64, promotion: &Promotion) -> Result<(), DbError> {
    let kind = match promotion.kind {
        PromotionKind::Promotion => "promotion",
        PromotionKind::Rollback => "rollback",
    };
    tx.query(
        "INSERT INTO promotions (promotion_id, kind, model_id, version_uid, from_stage, to_stage, actor,
             reason, note, rollout_id, applied_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(promotion.promotion_id.clone())
    .bind(kind)
    .bind(model_id)
    .bind(promotion.version_uid.clone())
    .bind(promotion.from.as_str())
    .bind(promotion.to.as_str())
    .bind(promotion.actor.clone())
    .bind(promotion.reason.clone())
    .bind(promotion.note.clone())
    .bind(promotion.rollout_id.clone())
    .bind(promotion.applied_at_ms)
    .execute()
    .await?;
    Ok(())
}

pub async fn find(conn: &mut Conn, promotion_id: &str) -> Result<Option<Promotion>, DbError> {
    let row: Option<Row> = conn
        .query(select_promotions!("WHERE p.promotion_id = $1"))
        .bind(promotion_id.to_owned())
        .optional()
        .await?;
    row.map(Row::read).transpose()
}

/// Transitions of a model into or out of `stage`, or all of them, newest first.
pub async fn of_model(
    conn: &mut Conn,
    model_id: i64,
    stage: Option<&str>,
    limit: i64,
) -> Result<Vec<Promotion>, DbError> {
    let rows: Vec<Row> = conn
        .query(select_promotions!(
            "WHERE p.model_id = $1 AND (p.to_stage LIKE $2 OR p.from_stage LIKE $2)
             ORDER BY p.id DESC LIMIT $3"
        ))
        .bind(model_id)
        .bind(stage.unwrap_or("%").to_owned())
        .bind(limit)
        .all()
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// The stage from which the version last came into `stage`; `None` when it never did.
pub async fn stage_before(conn: &mut Conn, uid: &str, stage: Stage) -> Result<Option<Stage>, DbError> {
    let text: Option<String> = conn
        .query(
            "SELECT from_stage FROM promotions
             WHERE version_uid = $1 AND to_stage = $2 AND from_stage <> $2 ORDER BY id DESC LIMIT 1",
        )
        .bind(uid.to_owned())
        .bind(stage.as_str())
        .scalar()
        .await?;
    Ok(text.as_deref().and_then(stage::parse))
}
