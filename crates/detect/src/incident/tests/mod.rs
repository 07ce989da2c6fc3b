//! Incidents, on sequences of events: of the real runs in `recorded/`, and of what no test can start.

mod property;
mod recorded;
mod stages;
mod world;
