// SPDX-License-Identifier: Apache-2.0
//! What the two Rust peers share: the questions about jobs, put to any `Pool`; the clock, percentiles, and the line of
//! CSV (see ../../peer.h for the questions).
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::Instant;

/// A number of threads that run jobs.
pub trait Pool: Sync {
    const NAME: &'static str;
    fn open(workers: usize) -> Self;
    fn submit(&self, job: impl FnOnce() + Send + 'static);
    /// A scope, one job in it, and the wait for its end.
    fn cycle(&self);
}

/// The questions about jobs, one after the other.
pub fn ask_jobs<P: Pool>() {
    ask_spawn::<P>(1, 1, "spawn 1 producer 1 worker");
    ask_spawn::<P>(2, 2, "spawn 2 producers 2 workers");
    ask_wake(&P::open(1));
    ask_ping(&P::open(1));
    ask_cycle(&P::open(1));
}

fn spawn_once<P: Pool>(pool: &P, producers: usize, jobs: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(jobs));
    let (tell, over) = channel();
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..producers {
            let (left, tell) = (left.clone(), tell.clone());
            threads.spawn(move || {
                for _ in 0..jobs / producers {
                    let (left, tell) = (left.clone(), tell.clone());
                    pool.submit(move || {
                        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                            tell.send(()).expect("the asker waits");
                        }
                    });
                }
            });
        }
    });
    over.recv().expect("the last job tells");
    ns_since(began) / jobs as f64
}

fn ask_spawn<P: Pool>(producers: usize, workers: usize, row: &str) {
    let pool = P::open(workers);
    spawn_once(&pool, 1, count(100_000));
    print(P::NAME, row, "ns/job", spawn_once(&pool, producers, count(1_000_000)));
}

fn ask_wake<P: Pool>(pool: &P) {
    let times = count(2000);
    let mut series = Vec::with_capacity(times);
    let mut random = 1;
    let started = Instant::now();
    for _ in 0..times {
        gap(&mut random);
        let took = Arc::new(AtomicU64::new(0));
        let seen = took.clone();
        let submitted = started.elapsed().as_nanos() as u64;
        pool.submit(move || seen.store(started.elapsed().as_nanos() as u64 - submitted + 1, Ordering::Release));
        while took.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        series.push(took.load(Ordering::Relaxed));
    }
    print(P::NAME, "wake gap 50-100 us p50", "ns", at(&mut series, 50));
    print(P::NAME, "wake gap 50-100 us p99", "ns", at(&mut series, 99));
}

fn ask_ping<P: Pool>(pool: &P) {
    let mut series = Vec::new();
    for _ in 0..count(20_000) {
        let done = Arc::new(AtomicBool::new(false));
        let tell = done.clone();
        let began = Instant::now();
        pool.submit(move || tell.store(true, Ordering::Release));
        while !done.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        series.push(ns_since(began) as u64);
    }
    print(P::NAME, "ping-pong p50", "ns", at(&mut series, 50));
}

fn ask_cycle<P: Pool>(pool: &P) {
    let times = count(20_000);
    let began = Instant::now();
    for _ in 0..times {
        pool.cycle();
    }
    print(P::NAME, "open one operation close", "ns", ns_since(began) / times as f64);
}

pub fn quick() -> bool {
    std::env::args().nth(1).as_deref() == Some("--quick")
}

pub fn count(full: usize) -> usize {
    if quick() { full / 10 } else { full }
}

pub fn print(peer: &str, row: &str, unit: &str, value: f64) {
    println!("{peer},{row},{unit},{value:.4}");
}

pub fn ns_since(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64
}

/// The value that `percent` of the series are below.
fn at(series: &mut [u64], percent: usize) -> f64 {
    series.sort_unstable();
    series[(series.len() - 1) * percent / 100] as f64
}

/// Keeps this core busy for 50 to 100 microseconds.
fn gap(random: &mut u32) {
    *random = random.wrapping_mul(1664525).wrapping_add(1013904223);
    let ns = 50_000 + u128::from(*random >> 8) % 50_000;
    let began = Instant::now();
    while began.elapsed().as_nanos() < ns {
        std::hint::spin_loop();
    }
}
