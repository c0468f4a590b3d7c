//! Who wants a download to go on.

/// The followers of a download, and the node, once it was asked to run it by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// How many follow it.
    pub followers: usize,
    /// Whether the node runs it whether somebody follows it or not.
    pub is_kept: bool,
}

impl Interest {
    /// One more follows it.
    pub(super) fn follow(&mut self) {
        self.followers += 1;
    }

    /// The node is to run it whether somebody follows it or not.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// A follower leaves; whether nobody is left who wants it.
    pub(super) fn leave(&mut self) -> bool {
        self.followers = self.followers.saturating_sub(1);
        self.followers == 0 && !self.is_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_to_leave_ends_it_and_not_what_the_node_keeps() {
        let mut interest = Interest::default();
        interest.follow();
        interest.follow();
        assert!(!interest.leave());
        assert!(interest.leave());
        interest.follow();
        interest.keep();
        assert!(!interest.leave());
    }
}
