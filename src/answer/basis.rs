//! What an answer was made of, if the same octets are given to everybody who asks the same until something of it changes. It knows which
//! names the rules look up for a name's form, and looks up none.

use super::{Answer, Records, Zone};
use crate::{
    index::{Basis, Kind, Snapshot},
    wire::NameKey,
};

impl Answer<'_> {
    /// What it was made of, about this name and from this snapshot; `None` if more than that decides about its octets (which address comes
    /// first, where it was asked), or more than a service and its namespace was looked up.
    pub fn basis(&self, name: &NameKey, snapshot: &Snapshot) -> Option<Basis> {
        let negative = match &self.records {
            Records::Addresses(run) if run.count() == 1 => false,
            Records::Services(service, _) if service.kind() == Kind::ClusterIp => false,
            Records::Negative(Zone::Cluster) => true,
            _ => return None,
        };
        let left = name
            .labels_above(&snapshot.options().zone)?
            .checked_sub(1)?;
        let names = match name.label(left)? {
            b"svc" => {
                let namespace = name.label(left.checked_sub(1)?)?;
                Some([name.labels(left.checked_sub(2)?, left)?, namespace])
            }
            b"pod" => return None,
            _ => None,
        };
        (self.is_bare() && !self.is_local).then(|| snapshot.basis(names, negative))
    }
}
