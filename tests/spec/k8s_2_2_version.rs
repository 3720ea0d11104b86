//! Kubernetes DNS specification 2.2: the record for the schema version.

use crate::stage::Stage;

#[test]
fn the_zone_says_which_specification_it_follows() {
    Stage::empty()
        .case("dns-version")
        .ask("dns-version.cluster.local. TXT", r#"NOERROR aa
            dns-version.cluster.local. 5 IN TXT "1.1.0""#)
        .ask("dns-version.cluster.local. A", "NOERROR aa
            auth: cluster.local. 0 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0")
        .ask("x.dns-version.cluster.local. TXT", "NXDOMAIN aa
            auth: cluster.local. 0 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0");
}
