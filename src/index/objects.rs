//! The objects as they are held: what the coming, changing or going of one touches, and what of it is still answered for a moment. It
//! derives no records.

use super::{
    FADING, Index, Listed,
    fading::Sources,
    held::{Apart, Held, Slice},
};
use crate::model::{Label, Object, ObjectKey, ServiceKind, Source};
use std::{sync::Arc, time::Duration};

/// As [`FADING`], for slices that vanished while a watch was down: the other watch may take longer to come back.
const FADING_AFTER_A_LIST: Duration = Duration::from_secs(1);
/// For how long no name is absent below a service that became headless: the controller labels its slices, one by one.
pub(super) const AWAITING_SLICES: Duration = Duration::from_secs(5);

impl Index {
    /// An object is there, perhaps another one than was held; says whether it is.
    pub(super) fn upsert(&mut self, source: Source, object: Object) -> bool {
        let generation = self.generations[source as usize];
        let (key, held) = Held::of(object, self.working.options.endpoint_names);
        let mut before = None;
        if let Some(known) = self.objects[source as usize].get_mut(&key) {
            known.generation = generation;
            if *known.held == held {
                return false;
            }
            before = Some(known.held.clone());
        }
        let held = Arc::new(held);
        match (&before, before.as_deref(), &*held) {
            (Some(before), Some(Held::EndpointSlice(had)), Held::EndpointSlice(has))
                if had.service == has.service =>
            {
                let service = ObjectKey::new(&key.namespace, has.service.as_str());
                self.replace_slice(service, before, had, has);
            }
            _ => {
                if let Some(before) = before {
                    self.link(source, &key, &before, false);
                    self.await_slices(&key, &before, &held);
                    self.fade(&key, before, true, FADING);
                }
                self.link(source, &key, &held, true);
            }
        }
        self.objects[source as usize].insert(key, Listed { generation, held });
        true
    }

    /// An object is gone; says whether it was held.
    pub(super) fn remove(&mut self, source: Source, key: &ObjectKey) -> bool {
        let Some(gone) = self.objects[source as usize].remove(key) else {
            return false;
        };
        self.link(source, key, &gone.held, false);
        self.fade(key, gone.held, false, FADING);
        true
    }

    /// What the list that ends did not name is gone; says how much that is.
    pub(super) fn sweep(&mut self, source: Source) -> u64 {
        let generation = self.generations[source as usize];
        let objects = &mut self.objects[source as usize];
        let gone = objects.extract_if(|_, listed| listed.generation != generation);
        let gone: Vec<_> = gone.collect();
        let may_move = self.may_move(source);
        let count = gone.len() as u64;
        for (key, listed) in gone {
            self.link(source, &key, &listed.held, false);
            if may_move {
                self.fade(&key, listed.held, false, FADING_AFTER_A_LIST);
            }
        }
        count
    }

    /// A slice says something else of the same service. It is kept if a ready endpoint vanishes with it.
    fn replace_slice(&mut self, service: ObjectKey, before: &Arc<Held>, had: &Slice, has: &Slice) {
        let apart = Apart::between(had, has);
        let labels = apart.labels().map(|label| Box::from(&*label));
        self.dirty.touch_names(service.clone(), labels);
        if apart.loses_a_name(has) {
            self.keep(service, before.clone(), FADING);
        }
    }

    /// Keeps what was said of a service's slice, if a ready endpoint vanishes with it, or if nobody knows whether one does.
    fn fade(&mut self, key: &ObjectKey, before: Arc<Held>, is_replaced: bool, time: Duration) {
        let of = match &*before {
            Held::EndpointSlice(slice) if slice.ready().next().is_some() => &slice.service,
            // It leaves this watch; what it says may be readable in the other one.
            Held::Unreadable(Some(of)) if !is_replaced => of,
            _ => return,
        };
        let service = ObjectKey::new(&key.namespace, of.as_str());
        self.keep(service, before, time);
    }

    fn keep(&mut self, service: ObjectKey, before: Arc<Held>, time: Duration) {
        match self.slices_being_listed() {
            Some(sources) => self.fading.keep_until_listed(&service, before, sources),
            None => self.fading.keep(service, before, time),
        }
    }

    /// The sources of slices that may name what vanishes now at their lists' end only: the one that it was in, and the other.
    fn slices_being_listed(&self) -> Option<Sources> {
        let mut sources = Sources::default();
        for source in Source::SLICES {
            sources[source as usize] = self.listing[source as usize];
        }
        sources.contains(&true).then_some(sources)
    }

    /// A service becomes headless before its slices enter the watch of headless services' slices.
    fn await_slices(&mut self, key: &ObjectKey, before: &Held, after: &Held) {
        let options = &self.working.options;
        let selected = options.sources.contains(&Source::ForeignEndpointSlices);
        if let (Held::Service(before), Held::Service(after)) = (before, after)
            && selected
            && before.kind != ServiceKind::Headless
            && after.kind == ServiceKind::Headless
        {
            self.fading.await_slices(key, AWAITING_SLICES);
        }
    }

    /// Notes what the coming, or going, of an object touches.
    fn link(&mut self, source: Source, key: &ObjectKey, held: &Held, comes: bool) {
        match held {
            Held::Service(_) => {
                self.count_namespace(&key.namespace, comes);
                self.dirty.touch(key.clone());
            }
            Held::EndpointSlice(slice) => self.link_slice(source, key, &slice.service, comes),
            Held::Namespace => self.count_namespace(&key.name, comes),
            Held::Pod(addresses) => {
                for address in addresses {
                    self.working.set_pod(&key.namespace, *address, comes);
                }
            }
            Held::Unreadable(service) => match (source, service) {
                (Source::Services, _) => {
                    self.count_namespace(&key.namespace, comes);
                    self.dirty.touch(key.clone());
                }
                (Source::Namespaces, _) => self.count_namespace(&key.name, comes),
                (_, Some(service)) => self.link_slice(source, key, service, comes),
                (_, None) => self.working.set_unreadable(source, &key.namespace, comes),
            },
        }
    }

    fn link_slice(&mut self, source: Source, slice: &ObjectKey, service: &Label, comes: bool) {
        let service = ObjectKey::new(&slice.namespace, service.as_str());
        let link = (source, slice.clone());
        let links = self.slices.entry(service.clone()).or_default();
        if comes {
            links.insert(link)
        } else {
            links.remove(&link)
        };
        if links.is_empty() {
            self.slices.remove(&service);
        }
        self.dirty.touch(service);
    }

    fn count_namespace(&mut self, namespace: &str, comes: bool) {
        let count = self.namespaces.entry(namespace.into()).or_default();
        let existed = *count > 0;
        *count = if comes {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        let exists = *count > 0;
        if exists == existed {
            return;
        }
        if !exists {
            self.namespaces.remove(namespace);
        }
        self.working.set_namespace(namespace, exists);
    }
}
