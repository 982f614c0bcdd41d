// SPDX-License-Identifier: Apache-2.0
//! What the two Rust peers share: the clock, percentiles, and the line of CSV (see ../../peer.h for the questions).
use std::time::Instant;

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
pub fn at(series: &mut [u64], percent: usize) -> f64 {
    series.sort_unstable();
    series[(series.len() - 1) * percent / 100] as f64
}

/// Keeps this core busy for 50 to 100 microseconds.
pub fn gap(random: &mut u32) {
    *random = random.wrapping_mul(1664525).wrapping_add(1013904223);
    let ns = 50_000 + u128::from(*random >> 8) % 50_000;
    let began = Instant::now();
    while began.elapsed().as_nanos() < ns {
        std::hint::spin_loop();
    }
}
