//! The contract of the store, for every store; and what is promised of one alone.

mod agreement;
mod audit;
mod chains;
mod compaction;
mod control;
mod crashes;
mod events;
mod files;
mod newborn;
mod parts;
mod pruning;
mod runs;
mod slots;
mod tasks;
mod values;

/// Makes a test of each function for each store.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&panta::store::memory::Memory::new()); })+
        }
        mod sqlite {
            $(#[test] fn $name() { let (store, _folder) = crate::support::stores::sqlite(); super::$name(&store); })+
        }
    };
}
use contract;
