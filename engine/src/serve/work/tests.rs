//! Scenarios with requesters whose jobs are expensive, stepped by a clock.

use std::time::{Duration, Instant};

use super::{
    JobKind, Work,
    fair_queue::{FairQueue, JobLimits, NextJob},
};
use crate::serve::{request_queue::Ticket, requester::Requester};

const LIMITS: JobLimits = JobLimits {
    reads: 2,
    reads_per_peer: 2,
    look_ups: 1,
};

const MS: Duration = Duration::from_millis(1);

/// Each requester keeps as many jobs queued as given, each of the given cost, until `time` has
/// passed; returns how much of the time each one got.
fn shares(
    requesters: &[(Requester, usize, Duration)],
    kind: JobKind,
    time: Duration,
) -> Vec<Duration> {
    let (mut queue, start) = (FairQueue::new(LIMITS), Instant::now());
    let (mut now, mut had) = (start, vec![Duration::ZERO; requesters.len()]);
    let ask = |queue: &mut FairQueue, who: usize| {
        let (requester, _, _) = requesters[who];
        assert_eq!(queue.wait(who as Ticket, requester, kind), None);
    };
    for (who, (_, jobs, _)) in requesters.iter().enumerate() {
        (0..*jobs).for_each(|_| ask(&mut queue, who));
    }
    while now < start + time {
        match queue.next(now) {
            NextJob::Run(who, turn) => {
                let who = who as usize;
                let cost = requesters[who].2;
                now += cost;
                had[who] += cost;
                queue.end(turn, cost, now);
                ask(&mut queue, who);
            }
            NextJob::At(at) => now = at,
            NextJob::Nothing => panic!("something waits"),
        }
    }
    had
}

#[test]
fn a_site_gets_its_part_however_many_hosts_ids_and_jobs_it_has() {
    let crowd = (0..60).map(|n| Requester::at(&format!("11.0.0.{}", n % 3)));
    let mut all: Vec<_> = crowd.map(|requester| (requester, 5, 5 * MS)).collect();
    all.push((Requester::at("12.0.0.1"), 1, MS));
    let had = shares(&all, JobKind::Read, Duration::from_secs(3));
    let honest = had.last().unwrap();
    assert!(*honest >= Duration::from_millis(1400), "{honest:?}");
    let hosts: Vec<Duration> = (0..3)
        .map(|n| had.iter().take(60).skip(n).step_by(3).sum())
        .collect();
    let (least, most) = (hosts.iter().min().unwrap(), hosts.iter().max().unwrap());
    assert!(*most <= *least + 20 * MS, "{hosts:?}");
}

#[test]
fn questions_that_cost_much_are_answered_less_often() {
    let dear = (Requester::at("11.0.0.1"), 4, 50 * MS);
    let cheap = (Requester::at("11.0.1.1"), 1, MS);
    let had = shares(&[dear, cheap], JobKind::Read, Duration::from_secs(10));
    assert!(had[1] >= Duration::from_secs(4), "{had:?}");
}

#[test]
fn a_flood_of_questions_does_not_keep_a_processor_busy() {
    let flood = (Requester::at("11.0.0.1"), 30, 5 * MS);
    let had = shares(&[flood], JobKind::LookUp, Duration::from_secs(20));
    assert!(had[0] < Duration::from_secs(4), "{had:?}");
}

#[test]
fn an_idle_requester_saves_nothing_up() {
    let (mut queue, now) = (FairQueue::new(LIMITS), Instant::now());
    let [busy, silent] = ["11.0.0.1", "11.0.1.1"].map(Requester::at);
    let run = |queue: &mut FairQueue| match queue.next(now) {
        NextJob::Run(ticket, turn) => {
            queue.end(turn, 10 * MS, now);
            ticket
        }
        other => panic!("{other:?}"),
    };
    for ticket in 0..40 {
        queue.wait(ticket, busy, JobKind::Read);
    }
    for _ in 0..20 {
        run(&mut queue);
    }
    for ticket in 100..120 {
        queue.wait(ticket, silent, JobKind::Read);
    }
    let next: Vec<_> = (0..10).map(|_| run(&mut queue) >= 100).collect();
    let of_silent = next.iter().filter(|silent| **silent).count();
    assert!((4..=6).contains(&of_silent), "{next:?}");
}

#[test]
fn when_too_many_wait_the_site_with_the_most_loses_its_last_one() {
    let mut queue = FairQueue::new(LIMITS);
    for n in 0..20 {
        let requester = Requester::at(&format!("11.0.0.{n}"));
        for m in 0..32 {
            queue.wait(n * 32 + m, requester, JobKind::LookUp);
        }
    }
    let dropped = queue.wait(10_000, Requester::at("12.0.0.1"), JobKind::LookUp);
    assert!(dropped.is_some_and(|ticket| ticket != 10_000));
    assert!(queue.depths(JobKind::LookUp).1 <= 512);
}

fn unreachable() {
    panic!("it was given up");
}

#[tokio::test]
async fn jobs_run_in_turn_and_a_job_that_is_given_up_does_not() {
    let work = Work::new(1, 1);
    let [one, other] = ["11.0.0.1", "11.0.1.1"].map(Requester::at);
    let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
    let first = tokio::spawn({
        let work = work.clone();
        async move {
            let job = move || (held.recv().is_ok(), 0);
            work.run(one, JobKind::Read, job).await
        }
    });
    while work.depths(JobKind::Read).0 == 0 {
        tokio::task::yield_now().await;
    }
    let given_up = work.run(other, JobKind::Read, || (unreachable(), 0));
    let given_up = futures::FutureExt::now_or_never(given_up);
    assert!(given_up.is_none());
    assert_eq!(work.depths(JobKind::Read), (1, 0));
    release.send(()).unwrap();
    assert!(first.await.unwrap().unwrap());
    assert_eq!(work.run(other, JobKind::Read, || (7, 0)).await.unwrap(), 7);
}
