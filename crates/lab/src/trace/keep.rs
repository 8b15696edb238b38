//! Lists that stay small however long a run is: when one is full, every second entry goes, and from then on only every second
//! one is taken.

/// Entries in the order in which they came, thinned out evenly.
#[derive(Clone, Debug)]
pub struct Thinned<T> {
    kept: Vec<T>,
    last: Option<T>,
    limit: usize,
    stride: u64,
    seen: u64,
}

impl<T: Clone> Thinned<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            last: None,
            limit: limit.max(2),
            stride: 1,
            seen: 0,
        }
    }

    /// What was kept; the newest entry is always among it.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.kept.iter().chain(&self.last)
    }

    /// The newest entry.
    pub fn last(&self) -> Option<&T> {
        self.last.as_ref().or(self.kept.last())
    }

    /// One entry of so many is kept.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// Whether there was nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    pub(crate) fn push(&mut self, entry: T) {
        let is_kept = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !is_kept {
            self.last = Some(entry);
            return;
        }
        self.last = None;
        if self.kept.len() >= self.limit {
            // The entry that is to come stands at a multiple of the doubled stride: the list is full at an even place.
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
            if !(self.seen - 1).is_multiple_of(self.stride) {
                self.last = Some(entry);
                return;
            }
        }
        self.kept.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_is_thinned_evenly_and_keeps_its_ends() {
        for limit in [2, 3, 8, 9] {
            let mut list = Thinned::new(limit);
            assert!(list.is_empty());
            for entry in 0..1000_u64 {
                list.push(entry);
                let kept: Vec<u64> = list.iter().copied().collect();
                assert!(kept.len() <= limit + 1);
                assert_eq!((kept.first(), list.last()), (Some(&0), Some(&entry)));
                let steps = kept.windows(2).map(|pair| pair[1] - pair[0]);
                let steps: Vec<u64> = steps.collect();
                let (last, even) = steps.split_last().unwrap_or((&0, &[]));
                assert!(even.iter().all(|&step| step == list.stride()), "{kept:?}");
                assert!(*last <= list.stride());
            }
        }
    }
}
