//! The interval log of HdrHistogram (form 1.3, histograms V2 with deflate), which its tools read: an interval for each part of
//! the run, tagged with the server; latencies in nanoseconds.

use crate::bench::load::Histograms;
use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};
use std::time::{Duration, SystemTime};

/// The log of a run that began then.
pub fn hdr(histograms: &Histograms, began: SystemTime) -> Vec<u8> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("gapless bench load: latency in ns")
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(1e6);
    let mut writer = builder
        .begin_log_with(&mut log, &mut serializer)
        .expect("a vector takes everything");
    for (server, tally) in histograms {
        let length = Duration::from_nanos(tally.slice_ns());
        // A tag must not have what separates fields.
        let tag = server.replace([',', ' ', '\n'], "_");
        for (nth, slice) in tally.slices.iter().enumerate() {
            if slice.answered == 0 {
                continue;
            }
            let from = length * u32::try_from(nth).expect("a hundred slices");
            writer
                .write_histogram(&slice.latency, from, length, Tag::new(&tag))
                .expect("a vector takes everything");
        }
    }
    log
}
