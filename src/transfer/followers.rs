//! Who wants a download to go on.

/// The followers of a download, and the node, once it was asked to run it by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followers {
    /// How many follow it.
    pub count: usize,
    /// Whether the node runs it whether somebody follows it or not.
    pub is_detached: bool,
}

impl Followers {
    /// One more follows it.
    pub(super) fn follow(&mut self) {
        self.count += 1;
    }

    /// The node is to run it whether somebody follows it or not.
    pub(super) fn run_detached(&mut self) {
        self.is_detached = true;
    }

    /// A follower leaves; whether nobody is left who wants it.
    pub(super) fn leave(&mut self) -> bool {
        self.count = self.count.saturating_sub(1);
        self.count == 0 && !self.is_detached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_to_leave_ends_it_and_not_what_the_node_keeps() {
        let mut followers = Followers::default();
        followers.follow();
        followers.follow();
        assert!(!followers.leave());
        assert!(followers.leave());
        followers.follow();
        followers.run_detached();
        assert!(!followers.leave());
    }
}
