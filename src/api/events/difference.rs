//! The differences between two ordered lists, one by one.

use std::cmp::Ordering;

/// A cursor over the differences between two lists that are ordered by the same key.
#[derive(Debug, Default)]
pub(super) struct Difference {
    old: usize,
    new: usize,
}

/// One difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a, T> {
    /// An item that is new or has changed.
    Changed(&'a T),
    /// An item that was removed from the list.
    Removed(&'a T),
}

impl Difference {
    /// The next difference; `None` after the last. With `all`, unchanged items count as changed.
    pub(super) fn next<'a, T: PartialEq, K: Ord>(
        &mut self,
        old: &'a [T],
        new: &'a [T],
        all: bool,
        key: impl Fn(&'a T) -> K,
    ) -> Option<Step<'a, T>> {
        loop {
            match (old.get(self.old), new.get(self.new)) {
                (None, None) => return None,
                (Some(removed), None) => {
                    self.old += 1;
                    return Some(Step::Removed(removed));
                }
                (None, Some(added)) => {
                    self.new += 1;
                    return Some(Step::Changed(added));
                }
                (Some(before), Some(now)) => match key(before).cmp(&key(now)) {
                    Ordering::Less => {
                        self.old += 1;
                        return Some(Step::Removed(before));
                    }
                    Ordering::Greater => {
                        self.new += 1;
                        return Some(Step::Changed(now));
                    }
                    Ordering::Equal => {
                        self.old += 1;
                        self.new += 1;
                        if all || before != now {
                            return Some(Step::Changed(now));
                        }
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_one_by_one() {
        let (old, new) = (
            [(1, 'a'), (2, 'b'), (4, 'd')],
            [(2, 'x'), (3, 'c'), (4, 'd')],
        );
        let mut difference = Difference::default();
        let steps: Vec<_> =
            std::iter::from_fn(|| difference.next(&old, &new, false, |item| item.0)).collect();
        assert_eq!(
            steps,
            [
                Step::Removed(&(1, 'a')),
                Step::Changed(&(2, 'x')),
                Step::Changed(&(3, 'c'))
            ]
        );
    }
}
