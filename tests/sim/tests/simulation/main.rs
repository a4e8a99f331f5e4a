//! The engine in simulated worlds: one program, so that it is linked once and its tests run side by side.

mod behaviour;
mod by_hand;
mod determinism;
mod discipline;
mod eras;
mod initial;
mod leap;
mod local;
mod names;
mod options;
mod orphans;
mod packets;
mod property;
mod refclocks;
mod reload;
mod restart;
mod serving;
mod smear;
mod sources;
mod steering;
mod straying;
mod table;
mod temperature;
