//! The limits on rates that hold now: those of the settings, or of their schedule, or those that a
//! person chose for some time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Zoned;
use parking_lot::Mutex;
use tokio::{task::AbortHandle, time::sleep};

use crate::{
    config::{Config, LiveSettings, Moment, OtherLimits, Period, limits_at},
    node::{Node, Rates},
};

/// How often the schedule is looked at. People notice no delay.
const INTERVAL: Duration = Duration::from_secs(10);

/// The limits that a person chose for some time. A handle: clones share them.
#[derive(Clone, Default)]
pub(super) struct TimedLimits(Arc<Mutex<Option<Chosen>>>);

struct Chosen {
    limits: OtherLimits,
    until: SystemTime,
    /// Lifts them at the end of their time.
    end: AbortHandle,
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.end.abort();
    }
}

impl TimedLimits {
    /// Chooses limits for some `time`, in place of those that were chosen before.
    pub(super) fn choose(
        &self,
        node: &Node,
        settings: &Arc<LiveSettings>,
        limits: OtherLimits,
        time: Duration,
    ) {
        let (this, ending, settings) = (self.clone(), node.clone(), Arc::clone(settings));
        let end = tokio::spawn(async move {
            sleep(time).await;
            // Dropping it aborts this task, whose last step that is.
            let over = this.0.lock().take();
            this.apply(&ending, &settings.config());
            drop(over);
        });
        let until = SystemTime::now() + time;
        let end = end.abort_handle();
        *self.0.lock() = Some(Chosen { limits, until, end });
    }

    /// Lifts the limits that were chosen for some time.
    pub(super) fn lift(&self) {
        *self.0.lock() = None;
    }

    /// Until when the limits that a person chose hold; `None` if there are none.
    pub(super) fn until(&self) -> Option<SystemTime> {
        self.0.lock().as_ref().map(|chosen| chosen.until)
    }

    /// Makes the limits hold that the settings, their schedule and a person ask for now.
    pub(super) fn apply(&self, node: &Node, config: &Config) {
        let transfer = &config.transfer;
        let usual = Rates {
            upload: transfer.upload_limit,
            download: transfer.download_limit,
            upload_per_peer: transfer.upload_limit_per_peer,
            download_per_peer: transfer.download_limit_per_peer,
        };
        let scheduled = limits_at(&periods(config), usual, now());
        let limits = match &*self.0.lock() {
            Some(chosen) => chosen.limits.over(scheduled),
            None => scheduled,
        };
        node.set_limits(|rates| *rates = limits);
    }

    /// Follows the schedule of the settings until the node ends.
    pub(super) async fn follow(self, node: Node, settings: Arc<LiveSettings>) {
        loop {
            self.apply(&node, &settings.config());
            sleep(INTERVAL).await;
        }
    }
}

/// The schedule of the settings. Its periods were checked when they were read.
pub(super) fn periods(config: &Config) -> Vec<Period> {
    let texts = config.transfer.limit_schedule.iter();
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// The present moment of the week, in local time.
fn now() -> Moment {
    let now = Zoned::now();
    let (hour, minute) = (now.hour().unsigned_abs(), now.minute().unsigned_abs());
    Moment {
        day: usize::from(now.weekday().to_monday_zero_offset().unsigned_abs()),
        minute: u16::from(hour) * 60 + u16::from(minute),
    }
}
