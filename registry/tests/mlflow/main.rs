//! MLflow's tracking endpoints over the whole service, on both engines: status and body of each
//! answer, the good ones and the refusals.

// A dialogue of requests and whole answers is long, and reads worse in pieces.
#![allow(clippy::too_many_lines)]

#[path = "../../src/db/testing.rs"]
mod databases;

mod bad_input;
mod concurrent;
mod experiments;
mod graphql;
mod headers;
mod history;
mod inputs;
mod logged_models;
mod logging;
mod otlp;
mod random;
mod runs;
mod search;
mod support;
mod traces;
mod traces_bad_input;
mod ui;
