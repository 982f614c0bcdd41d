// SPDX-License-Identifier: Apache-2.0
//! Tokio: `spawn` on the multi-threaded runtime; queued tasks are ended by `abort`, parked ones by a
//! `CancellationToken` that each waits for. `JoinSet::shutdown` was tried: slower for both.
use peers::{at, count, gap, ns_since, print, quick};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const NAME: &str = "Tokio";

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime")
}

/// Counts ends: when a task's future is dropped, run or not.
struct End {
    left: Arc<AtomicUsize>,
    tell: Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = self.tell.send(());
        }
    }
}

fn spawn_once(runtime: &Runtime, producers: usize, jobs: usize) -> f64 {
    let left = Arc::new(AtomicUsize::new(jobs));
    let (tell, over) = channel();
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..producers {
            let (left, tell) = (left.clone(), tell.clone());
            threads.spawn(move || {
                for _ in 0..jobs / producers {
                    let end = End { left: left.clone(), tell: tell.clone() };
                    runtime.spawn(async move { drop(end) });
                }
            });
        }
    });
    over.recv().expect("the last task tells");
    ns_since(began) / jobs as f64
}

fn spawn(producers: usize, workers: usize, row: &str) {
    let runtime = runtime(workers);
    spawn_once(&runtime, 1, count(100_000));
    print(NAME, row, "ns/job", spawn_once(&runtime, producers, count(1_000_000)));
}

fn wake() {
    let runtime = runtime(1);
    let times = count(2000);
    let mut series = Vec::with_capacity(times);
    let mut random = 1;
    let started = Instant::now();
    for _ in 0..times {
        gap(&mut random);
        let took = Arc::new(AtomicU64::new(0));
        let seen = took.clone();
        let submitted = started.elapsed().as_nanos() as u64;
        runtime.spawn(async move {
            seen.store(started.elapsed().as_nanos() as u64 - submitted + 1, Ordering::Release);
        });
        while took.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        series.push(took.load(Ordering::Relaxed));
    }
    print(NAME, "wake gap 50-100 us p50", "ns", at(&mut series, 50));
    print(NAME, "wake gap 50-100 us p99", "ns", at(&mut series, 99));
}

fn ping() {
    let runtime = runtime(1);
    let mut series = Vec::new();
    for _ in 0..count(20_000) {
        let done = Arc::new(AtomicBool::new(false));
        let tell = done.clone();
        let began = Instant::now();
        runtime.spawn(async move { tell.store(true, Ordering::Release) });
        while !done.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        series.push(ns_since(began) as u64);
    }
    print(NAME, "ping-pong p50", "ns", at(&mut series, 50));
}

fn close_queued(runtime: &Runtime, operations: usize) -> f64 {
    let open = Arc::new(AtomicBool::new(false));
    let (gate, (tell_in, inside)) = (open.clone(), channel());
    runtime.spawn(async move {
        tell_in.send(()).expect("the asker waits");
        while !gate.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    });
    inside.recv().expect("the gate is entered");
    let left = Arc::new(AtomicUsize::new(operations));
    let (tell, over) = channel();
    let handles: Vec<_> = (0..operations)
        .map(|_| {
            let end = End { left: left.clone(), tell: tell.clone() };
            runtime.spawn(async move { drop(end) })
        })
        .collect();
    let began = Instant::now();
    for handle in &handles {
        handle.abort();
    }
    open.store(true, Ordering::Release);
    over.recv().expect("the last one tells");
    ns_since(began) / operations as f64
}

fn close_parked(runtime: &Runtime, operations: usize) -> f64 {
    let token = CancellationToken::new();
    let waiting = Arc::new(AtomicUsize::new(0));
    let left = Arc::new(AtomicUsize::new(operations));
    let (tell, over) = channel();
    for _ in 0..operations {
        let (token, waiting) = (token.clone(), waiting.clone());
        let end = End { left: left.clone(), tell: tell.clone() };
        runtime.spawn(async move {
            waiting.fetch_add(1, Ordering::AcqRel);
            token.cancelled().await;
            drop(end);
        });
    }
    while waiting.load(Ordering::Acquire) < operations {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(1)); // the last one's await
    let began = Instant::now();
    token.cancel();
    over.recv().expect("the last one tells");
    ns_since(began) / operations as f64
}

fn close(what: &str, measure: fn(&Runtime, usize) -> f64, sizes: &[(usize, &str)]) {
    for (operations, name) in sizes {
        let runtime = runtime(1);
        let times = if *operations == 1000 { 20 } else { 2 };
        let mut least = f64::INFINITY;
        for _ in 0..times + 2 {
            least = least.min(measure(&runtime, *operations));
        }
        print(NAME, &format!("close {name} {what}"), "ns/op", least);
    }
}

fn cycle() {
    let runtime = runtime(1);
    let times = count(20_000);
    let began = Instant::now();
    for _ in 0..times {
        let one = runtime.spawn(async {});
        runtime.block_on(one).expect("it ran");
    }
    print(NAME, "open one operation close", "ns", ns_since(began) / times as f64);
}

fn main() {
    spawn(1, 1, "spawn 1 producer 1 worker");
    spawn(2, 2, "spawn 2 producers 2 workers");
    wake();
    ping();
    close("queued", close_queued, if quick() { &[(1000, "1e3"), (100_000, "1e5")] } else {
        &[(1000, "1e3"), (100_000, "1e5"), (1_000_000, "1e6")]
    });
    close("parked", close_parked, &[(1000, "1e3"), (100_000, "1e5")]);
    cycle();
}
