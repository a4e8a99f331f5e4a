//! The sans-IO engine of `ntp-xdpd`: it is handed values and gives back values, and neither reads a clock nor does I/O.

#![forbid(unsafe_code)]

pub mod auth;
mod bank;
pub mod candm;
pub mod conf;
mod discipline;
pub mod driver;
pub mod engine;
mod estimate;
mod filter;
pub mod history;
pub mod leap;
pub mod manual;
mod names;
pub mod operation;
pub mod record;
mod reference;
mod regress;
pub mod report;
mod sample;
pub mod seams;
mod seconds;
mod select;
mod series;
pub mod settings;
mod smooth;
mod source;
pub mod tempcomp;
