//! How two ordered lists differ, found one by one.

use std::cmp::Ordering;

/// How two lists that are ordered by the same key differ, found one by one.
#[derive(Debug, Default)]
pub(super) struct Difference {
    old: usize,
    new: usize,
}

/// What is in one list, and not so in the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a, T> {
    /// New, or another than before.
    Is(&'a T),
    /// No more.
    Gone(&'a T),
}

impl Difference {
    /// The next difference; none after the last. With `anew`, what is the same as before is told, too.
    pub(super) fn next<'a, T: PartialEq, K: Ord>(
        &mut self,
        old: &'a [T],
        new: &'a [T],
        anew: bool,
        key: impl Fn(&'a T) -> K,
    ) -> Option<Step<'a, T>> {
        loop {
            match (old.get(self.old), new.get(self.new)) {
                (None, None) => return None,
                (Some(gone), None) => {
                    self.old += 1;
                    return Some(Step::Gone(gone));
                }
                (None, Some(is)) => {
                    self.new += 1;
                    return Some(Step::Is(is));
                }
                (Some(before), Some(now)) => match key(before).cmp(&key(now)) {
                    Ordering::Less => {
                        self.old += 1;
                        return Some(Step::Gone(before));
                    }
                    Ordering::Greater => {
                        self.new += 1;
                        return Some(Step::Is(now));
                    }
                    Ordering::Equal => {
                        self.old += 1;
                        self.new += 1;
                        if anew || before != now {
                            return Some(Step::Is(now));
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
                Step::Gone(&(1, 'a')),
                Step::Is(&(2, 'x')),
                Step::Is(&(3, 'c'))
            ]
        );
    }
}
