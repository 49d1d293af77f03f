//! What happened, for people and for machines: events in, lines, a live view, JSON and the failure
//! log out.

pub mod failure_log;
pub mod line;
pub mod live;
pub mod painter;
pub mod plain;
pub mod transfers;
pub mod wording;
