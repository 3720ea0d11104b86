//! From the objects of a service to its records, made anew or mended. It knows no change.

use super::{Index, ServiceRecords, dirty::Touched, held::Held, records};
use crate::model::{Label, ObjectKey, Source};
use std::net::IpAddr;

impl Index {
    /// Makes the records of a service as its objects are now.
    pub(super) fn rebuild(&mut self, service: &ObjectKey, touched: &Touched) {
        let Some(key) = wire_key(service) else { return };
        let (records, addresses) = self.derive(service, &key, touched);
        self.working.set_service(&key, records, addresses);
    }

    /// The records of a service, and at which addresses alone they may differ from the former ones, if that is known.
    pub(super) fn derive(
        &self,
        service: &ObjectKey,
        key: &[u8],
        touched: &Touched,
    ) -> (Option<ServiceRecords>, Option<Vec<IpAddr>>) {
        let Some(listed) = self.objects[Source::Services as usize].get(service) else {
            return (None, None);
        };
        let Held::Service(object) = &*listed.held else {
            return (Some(records::unreadable(key)), None);
        };
        let links = self.slices.get(service).into_iter().flatten();
        let slices = links.clone().filter_map(|(source, slice)| {
            let listed = self.objects[*source as usize].get(slice)?;
            Some(&*listed.held)
        });
        let fading = self.fading.slices(service);
        let is_unreadable = |slice: &Held| matches!(slice, Held::Unreadable(_));
        let incomplete = self.fading.awaits_slices(service)
            || slices.clone().any(is_unreadable)
            || fading.clone().any(is_unreadable);
        let slices = records::Slices {
            slices: slices.filter_map(Held::as_slice),
            fading: fading.filter_map(Held::as_slice).collect(),
            incomplete,
        };
        let (options, hash) = (&self.working.options, |label: &[u8]| {
            self.working.host_hash(label)
        });
        if let (Touched::Names(names), Some(before)) = (touched, self.working.find(key))
            && let Some((records, addresses)) = records::mend(before, names, &slices, options, hash)
        {
            return (Some(records), Some(addresses));
        }
        (
            Some(records::build(key, object, slices, options, hash)),
            None,
        )
    }
}

/// The labels `<service>.<namespace>` in wire form; `None` if they are no labels.
pub(super) fn wire_key(service: &ObjectKey) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(service.name.len() + service.namespace.len() + 2);
    for text in [&service.name, &service.namespace] {
        let label = Label::new(text).ok()?;
        key.push(u8::try_from(label.as_bytes().len()).ok()?);
        key.extend_from_slice(label.as_bytes());
    }
    Some(key)
}
