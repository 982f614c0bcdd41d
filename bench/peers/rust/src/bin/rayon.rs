// SPDX-License-Identifier: Apache-2.0
//! Rayon: `join` for trees, `spawn` from outside, `scope` for one job. It has no cancellation.
use peers::{ask_jobs, ns_since, print, quick, Pool};
use std::time::Instant;

struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    const NAME: &'static str = "Rayon";

    fn open(workers: usize) -> Self {
        Rayon(rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool"))
    }

    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.spawn(job);
    }

    fn cycle(&self) {
        self.0.scope(|scope| scope.spawn(|_| ()));
    }
}

fn grow(depth: u32) {
    if depth > 0 {
        rayon::join(|| grow(depth - 1), || grow(depth - 1));
    }
}

fn tree() {
    let pool = Rayon::open(2).0;
    let depth = if quick() { 16 } else { 20 };
    pool.install(|| grow(depth - 4));
    let began = Instant::now();
    pool.install(|| grow(depth));
    print(Rayon::NAME, "fork-join 2 workers", "ns/leaf", ns_since(began) / f64::from(1u32 << depth));
}

fn main() {
    ask_jobs::<Rayon>();
    tree();
}
