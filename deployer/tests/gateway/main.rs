//! The gateway between real clients and real servers on loopback.

mod access;
mod disconnect;
mod follow;
mod forward;
mod limits;
mod resend;
mod support;
mod switch;
