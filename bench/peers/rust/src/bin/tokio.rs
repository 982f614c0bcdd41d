// SPDX-License-Identifier: Apache-2.0
//! Tokio: `spawn` on the multi-threaded runtime; queued tasks are ended by `abort`, parked ones by a
//! `CancellationToken` that each waits for. `JoinSet::shutdown` was tried: slower for both.
use peers::{ask_jobs, ns_since, print, quick, Pool};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

struct Tokio(Runtime);

impl Pool for Tokio {
    const NAME: &'static str = "Tokio";

    fn open(workers: usize) -> Self {
        Tokio(Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime"))
    }

    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.spawn(async move { job() });
    }

    fn cycle(&self) {
        let one = self.0.spawn(async {});
        self.0.block_on(one).expect("it ran");
    }
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
    std::thread::sleep(Duration::from_millis(1)); // the last one's await
    let began = Instant::now();
    token.cancel();
    over.recv().expect("the last one tells");
    ns_since(began) / operations as f64
}

fn close(what: &str, measure: fn(&Runtime, usize) -> f64, sizes: &[(usize, &str)]) {
    for (operations, name) in sizes {
        let runtime = Tokio::open(1).0;
        let times = if *operations == 1000 { 20 } else { 2 };
        let mut least = f64::INFINITY;
        for _ in 0..times + 2 {
            least = least.min(measure(&runtime, *operations));
        }
        print(Tokio::NAME, &format!("close {name} {what}"), "ns/op", least);
    }
}

fn main() {
    ask_jobs::<Tokio>();
    close("queued", close_queued, if quick() { &[(1000, "1e3"), (100_000, "1e5")] } else {
        &[(1000, "1e3"), (100_000, "1e5"), (1_000_000, "1e6")]
    });
    close("parked", close_parked, &[(1000, "1e3"), (100_000, "1e5")]);
}
