//! What the surroundings supply.

use crate::Core;
use gapless_tcp::Instant;

/// A lock around a [`Core`], and a clock: what `std` has and a kernel has otherwise.
///
/// ```
/// use gapless_sockets::{Core, Host, Instant, Sockets, Stack, StackConfig};
/// # mod kernel {
/// #     pub fn ticks() -> u64 { 7 }
/// # }
///
/// /// A spin lock that keeps interrupts off; `spin::Mutex` stands for it here.
/// struct Kernel(spin::Mutex<Core>);
///
/// impl Host for Kernel {
///     fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
///         f(&mut self.0.lock())
///     }
///
///     fn now(&self) -> Instant {
///         Instant::from_nanos(kernel::ticks())
///     }
/// }
///
/// let stack = Stack::new(StackConfig::default(), [1, 2]); // of the kernel's random numbers
/// let sockets = Sockets::new(Kernel(spin::Mutex::new(Core::new(stack))));
/// assert_eq!(sockets.with_stack(|stack| stack.connections()), 0);
/// ```
pub trait Host: Send + Sync {
    /// Runs `f`, and nothing else that asks for this meanwhile, on whatever thread. Never called from within `f`.
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R;

    /// The time since any fixed moment; never less than it was.
    fn now(&self) -> Instant;
}

/// A mutex and the clock of the system.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct System {
    core: std::sync::Mutex<Core>,
    began: std::time::Instant,
}

#[cfg(feature = "std")]
impl System {
    /// Its time begins now.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self {
            core: std::sync::Mutex::new(core),
            began: std::time::Instant::now(),
        }
    }

    /// What the clock of the system shows at `instant`, if it can show it.
    #[must_use]
    pub fn system_time(&self, instant: Instant) -> Option<std::time::Instant> {
        let since = core::time::Duration::from_nanos(instant.as_nanos());
        self.began.checked_add(since)
    }
}

#[cfg(feature = "std")]
impl Host for System {
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        // A panic of another holder came from outside the engine, whose own calls leave nothing half done.
        let core = self.core.lock();
        f(&mut core.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn now(&self) -> Instant {
        let since = self.began.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }
}
