//! Protocol faults (FABLE_FAULT_* of include/fable.h): what a peer did that no correct peer does.

pub const none: u32 = 0;
pub const kind: u32 = 1;
pub const length: u32 = 2;
pub const cursor: u32 = 3;
pub const fragment: u32 = 4;
pub const doorbell: u32 = 5;
pub const state: u32 = 6;
