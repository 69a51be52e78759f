//! What can be searched of one kind of object, and in which tables it lies.

/// A kind of object. Its rows are read from `table` under an alias, e.g. `runs r`.
#[derive(Debug)]
pub struct Entity {
    /// Binds page tokens, e.g. `runs`.
    pub name: &'static str,
    /// The select list of a row.
    pub columns: &'static str,
    /// Table and alias, e.g. `runs r`.
    pub table: &'static str,
    /// The row's internal key, e.g. `r.rid`; children hold it in [`Child::owner`].
    pub key: &'static str,
    pub attributes: &'static [Attribute],
    pub metrics: Option<Child>,
    pub params: Option<Child>,
    pub tags: Option<Child>,
    /// Whether `dataset.name`, `dataset.digest` and `dataset.context` can be asked for: the tables
    /// of runs.
    pub datasets: bool,
    /// Whether spans, assessments, runs and prompts can be asked for: the tables of traces.
    pub traces: bool,
    /// Column of the row that limits the search to some experiments, e.g. `r.experiment_id`;
    /// children carry `experiment_id` as well.
    pub scope: Option<&'static str>,
    /// Orders that follow those asked for, so that the order is total: the last is unique.
    pub natural: &'static [(&'static str, bool)],
    /// By attribute, [`Self::table`] for SQLite with the index that begins with it, e.g.
    /// `("run_name", "runs r INDEXED BY runs_named")`: SQLite does not know that a page ends a walk,
    /// and would rather sort. `"status DESC"` is for one direction, before what is for both.
    pub walks: &'static [(&'static str, &'static str)],
}

impl Entity {
    /// The attribute of that name or alias.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|a| a.name == name || a.aliases.contains(&name))
    }

    /// What to read from to get rows in the order of that attribute, or those with a value of it.
    pub(super) fn walk(&self, attribute: &Attribute, ascending: bool) -> Option<&'static str> {
        let serves = |name: &str| match name.strip_suffix(" DESC") {
            Some(name) => !ascending && name == attribute.name,
            None => name == attribute.name,
        };
        self.walks.iter().find(|(name, _)| serves(name)).map(|(_, table)| *table)
    }
}

#[derive(Debug, PartialEq)]
pub struct Attribute {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// E.g. `r.start_time_ms`.
    pub column: &'static str,
    /// Whether the column may be NULL; such rows come last in either direction.
    pub nullable: bool,
    pub filterable: bool,
    pub orderable: bool,
    /// Whether `IN ('a', 'b')` is offered.
    pub lists: bool,
    pub indexed: Indexed,
}

/// How an index finds rows by an attribute's value; where the entity has a scope, the index begins
/// with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    No,
    Whole,
    /// By the first [`PREFIX_CHARS`](crate::db::PREFIX_CHARS) characters.
    Prefix,
    /// No two rows have the same value.
    Unique,
}

impl Attribute {
    /// A text attribute that can be filtered and ordered by.
    pub const fn text(name: &'static str, column: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind: Kind::Text,
            column,
            nullable: false,
            filterable: true,
            orderable: true,
            lists: false,
            indexed: Indexed::No,
        }
    }

    /// A numeric attribute that can be filtered and ordered by.
    pub const fn int(name: &'static str, column: &'static str) -> Self {
        Self { kind: Kind::Int, ..Self::text(name, column) }
    }

    #[must_use]
    pub const fn aliased(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    #[must_use]
    pub const fn with_lists(self) -> Self {
        Self { lists: true, ..self }
    }

    #[must_use]
    pub const fn indexed(self, indexed: Indexed) -> Self {
        Self { indexed, ..self }
    }

    #[must_use]
    pub const fn order_only(self) -> Self {
        Self { filterable: false, ..self }
    }

    #[must_use]
    pub const fn filter_only(self) -> Self {
        Self { orderable: false, ..self }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A number, compared as one.
    Int,
    /// A number that may be written as quoted text too.
    AnyInt,
    /// A number that is written as quoted text, and only equal or not.
    Id,
}

/// A table of keys and values that belong to rows.
#[derive(Debug, Clone, Copy)]
pub struct Child {
    pub table: &'static str,
    /// Column that holds the row's internal key.
    pub owner: &'static str,
    /// Where a key can have many values, the columns whose greatest (`true`) or least values tell
    /// the one that counts when sorting, e.g. `[("timestamp_ms", true), ("run_id", false)]`.
    pub latest: Option<&'static [(&'static str, bool)]>,
    /// Whether the table has an index `(key, …value)` that can drive a search; where the entity has
    /// a scope, the index begins with `experiment_id`.
    pub indexed: bool,
}
