//! A box whose making can fail.

use alloc::vec::Vec;

/// One value on the heap. `Box` ends the program when there is no memory; this tells.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Place<T>(Vec<T>);

impl<T> Place<T> {
    /// Puts the value on the heap, or gives it back.
    pub(crate) fn new(value: T) -> Result<Self, T> {
        let mut place = Vec::new();
        // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
        if place.try_reserve_exact(1).is_err() || place.capacity() == place.len() {
            return Err(value);
        }
        place.push(value);
        Ok(Self(place))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.first()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.first_mut()
    }
}
