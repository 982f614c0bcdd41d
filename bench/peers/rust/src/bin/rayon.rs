// SPDX-License-Identifier: Apache-2.0
//! Rayon: `join` for trees, `spawn` from outside, `scope` for one job. It has no cancellation.
use peers::{at, count, gap, ns_since, print, quick};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::Instant;

const NAME: &str = "Rayon";

fn pool(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool")
}

fn grow(depth: u32) {
    if depth > 0 {
        rayon::join(|| grow(depth - 1), || grow(depth - 1));
    }
}

fn tree() {
    let pool = pool(2);
    let depth = if quick() { 16 } else { 20 };
    pool.install(|| grow(depth - 4));
    let began = Instant::now();
    pool.install(|| grow(depth));
    print(NAME, "fork-join 2 workers", "ns/leaf", ns_since(began) / f64::from(1u32 << depth));
}

fn spawn_once(pool: &rayon::ThreadPool, producers: usize, jobs: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(jobs));
    let (tell, over) = channel();
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..producers {
            let (left, tell) = (left.clone(), tell.clone());
            threads.spawn(move || {
                for _ in 0..jobs / producers {
                    let (left, tell) = (left.clone(), tell.clone());
                    pool.spawn(move || {
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

fn spawn(producers: usize, workers: usize, row: &str) {
    let pool = pool(workers);
    spawn_once(&pool, 1, count(100_000));
    print(NAME, row, "ns/job", spawn_once(&pool, producers, count(1_000_000)));
}

fn wake() {
    let pool = pool(1);
    let times = count(2000);
    let mut series = Vec::with_capacity(times);
    let mut random = 1;
    let started = Instant::now();
    for _ in 0..times {
        gap(&mut random);
        let took = Arc::new(AtomicU64::new(0));
        let seen = took.clone();
        let submitted = started.elapsed().as_nanos() as u64;
        pool.spawn(move || seen.store(started.elapsed().as_nanos() as u64 - submitted + 1, Ordering::Release));
        while took.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        series.push(took.load(Ordering::Relaxed));
    }
    print(NAME, "wake gap 50-100 us p50", "ns", at(&mut series, 50));
    print(NAME, "wake gap 50-100 us p99", "ns", at(&mut series, 99));
}

fn ping() {
    let pool = pool(1);
    let mut series = Vec::new();
    for _ in 0..count(20_000) {
        let done = Arc::new(AtomicBool::new(false));
        let tell = done.clone();
        let began = Instant::now();
        pool.spawn(move || tell.store(true, Ordering::Release));
        while !done.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        series.push(ns_since(began) as u64);
    }
    print(NAME, "ping-pong p50", "ns", at(&mut series, 50));
}

fn cycle() {
    let pool = pool(1);
    let times = count(20_000);
    let began = Instant::now();
    for _ in 0..times {
        pool.scope(|scope| scope.spawn(|_| ()));
    }
    print(NAME, "open one operation close", "ns", ns_since(began) / times as f64);
}

fn main() {
    spawn(1, 1, "spawn 1 producer 1 worker");
    spawn(2, 2, "spawn 2 producers 2 workers");
    wake();
    ping();
    tree();
    cycle();
}
