//! The parties that want a download to run.

/// The followers of a download, and whether the node runs it without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followers {
    /// How many clients follow it.
    pub count: usize,
    /// Whether the node runs the download even if nothing follows it.
    pub is_detached: bool,
}

impl Followers {
    /// Adds a follower.
    pub(super) fn follow(&mut self) {
        self.count += 1;
    }

    /// From now on the node runs the download even if nothing follows it.
    pub(super) fn run_detached(&mut self) {
        self.is_detached = true;
    }

    /// Removes a follower; true if the download should not run any more.
    pub(super) fn leave(&mut self) -> bool {
        self.count = self.count.saturating_sub(1);
        self.count == 0 && !self.is_detached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_follower_ends_a_download_that_the_node_does_not_run() {
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
