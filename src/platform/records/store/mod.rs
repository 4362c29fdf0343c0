//! Reading and writing records by their declaration. Every statement carries the tenant; every read and write the scope.

mod change;
mod checks;
mod expand;
mod faulty;
mod find;
mod lock;
mod write;

pub(super) use change::new_change;
pub use change::{archive, create, save, save_as, update, update_even_archived};
pub use checks::live_condition;
pub(super) use checks::may_assign;
pub use expand::{embed, expand, expand_name, expandable, expandable_singly, related};
pub use faulty::{Target, joined, own_faults, refused};
pub use find::{find, read, require_visible, visible};
pub use lock::{For, Locked, Locking, lock, lock_many, lock_on};
pub use write::Written;
pub(super) use write::event;
