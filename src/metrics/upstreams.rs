//! What is known of every upstream, read at the scrape. The names are the configuration's, so that there are few of them
//! and always the same.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};
use std::{collections::BTreeMap, fmt, sync::OnceLock, time::Duration};

/// What is known of one upstream of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// As the configuration spells it.
    pub name: String,
    /// The smoothed round-trip, once there is one.
    pub round_trip: Option<Duration>,
    /// Has it failed since it last said anything?
    pub down: bool,
    /// Does it send questions back to this server?
    pub looping: bool,
}

type Read = Box<dyn Fn() -> Vec<Upstream> + Send + Sync>;

#[derive(Default)]
pub(super) struct Upstreams(OnceLock<Read>);

impl Upstreams {
    pub(super) fn read_from(&self, read: impl Fn() -> Vec<Upstream> + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(read));
    }
}

impl Collector for Upstreams {
    /// An upstream of several routes has one series: the worse of what they know.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = BTreeMap::<String, (Option<Duration>, bool, bool)>::new();
        for it in self.0.get().map_or_else(Vec::new, |read| read()) {
            let known = all.entry(it.name).or_default();
            *known = (
                known.0.max(it.round_trip),
                known.1 | it.down,
                known.2 | it.looping,
            );
        }
        let label = |name| [("upstream", name)];
        let help = "Smoothed time from a question to the upstream's answer.";
        let mut family = encoder.encode_descriptor(
            "upstream_srtt",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, (round_trip, ..)) in &all {
            if let Some(round_trip) = round_trip {
                let gauge = ConstGauge::new(round_trip.as_secs_f64());
                gauge.encode(family.encode_family(&label(name.as_str()))?)?;
            }
        }
        let down = "1 while the upstream has failed and said nothing since, otherwise 0.";
        let looping = "1 while the upstream sends questions back to this server and is not asked, otherwise 0.";
        for (family, help, is) in [
            (
                "upstream_down",
                down,
                (|it| it.1) as fn(&(_, bool, bool)) -> bool,
            ),
            ("upstream_looping", looping, |it| it.2),
        ] {
            let mut family = encoder.encode_descriptor(family, help, None, MetricType::Gauge)?;
            for (name, known) in &all {
                let gauge = ConstGauge::new(i64::from(is(known)));
                gauge.encode(family.encode_family(&label(name.as_str()))?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstreams")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text, registry::Registry};

    #[test]
    fn an_upstream_of_several_routes_has_one_series() {
        let mut registry = Registry::default();
        let forward = crate::metrics::Metrics::new(&mut registry).forward;
        let upstream = |name: &str, ms: Option<u64>, down| Upstream {
            name: name.to_owned(),
            round_trip: ms.map(Duration::from_millis),
            down,
            looping: down,
        };
        forward.upstreams_from(move || {
            vec![
                upstream("192.0.2.1:53", Some(2), false),
                upstream("tls://192.0.2.1:853#dns.example", None, false),
                upstream("192.0.2.1:53", Some(250), true),
            ]
        });
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        let series: Vec<_> = page
            .lines()
            .filter(|line| line.contains("{upstream="))
            .collect();
        assert_eq!(
            series,
            [
                r#"gapless_upstream_srtt_seconds{upstream="192.0.2.1:53"} 0.25"#,
                r#"gapless_upstream_down{upstream="192.0.2.1:53"} 1"#,
                r#"gapless_upstream_down{upstream="tls://192.0.2.1:853#dns.example"} 0"#,
                r#"gapless_upstream_looping{upstream="192.0.2.1:53"} 1"#,
                r#"gapless_upstream_looping{upstream="tls://192.0.2.1:853#dns.example"} 0"#,
            ]
        );
    }
}
