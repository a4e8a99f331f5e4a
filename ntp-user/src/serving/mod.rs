//! What the timekeeping thread tells those who answer requests, and what they tell it: snapshots, access
//! rules, counters, clients. All of it is read without locks on the way to an answer.

pub mod access_list;
pub mod clients;
pub mod counters;
pub mod occupancy;
pub mod published;
pub mod ring;
pub mod service;
pub mod versioned;
