//! What an object in a list or a watch says: the change that it is, or, if it is malformed, what is left of it. It knows no
//! order of events.

use super::Watch;
use crate::{
    feed::{
        convert,
        kube::{protocol, requests::Failure},
    },
    model::Change,
};
use std::time::Duration;

/// What a line of a watch says.
pub(super) struct Told {
    pub(super) change: Change,
    /// When that happened for which the object was changed, since 1970.
    pub(super) triggered: Option<Duration>,
    /// The object's resourceVersion, or the bookmark's.
    pub(super) version: Option<String>,
}

impl Watch {
    /// What an object says that was created or changed.
    pub(super) fn applied(&self, object: &str) -> Result<Told, Failure> {
        match convert::convert(self.source, object) {
            Ok(converted) => {
                for ignored in &converted.ignored {
                    self.rejections.ignore(self.source, ignored);
                }
                Ok(Told {
                    change: match converted.object {
                        Some(object) => Change::Apply(self.source, object),
                        // Whatever stood under this key stands there no longer.
                        None => Change::Delete(self.source, converted.key),
                    },
                    triggered: converted.triggered,
                    version: converted.version,
                })
            }
            Err(malformed) => {
                protocol::whole(object)?;
                self.rejections.reject(self.source, &malformed);
                Ok(Told {
                    change: match convert::remnant(self.source, object) {
                        Some(remnant) => Change::Apply(self.source, remnant),
                        None => Change::Delete(self.source, malformed.key),
                    },
                    triggered: None,
                    version: protocol::resource_version(object),
                })
            }
        }
    }

    pub(super) fn deleted(&self, object: &str) -> Result<Told, Failure> {
        let (key, version) = match convert::key(self.source, object) {
            Ok(converted) => (converted.key, converted.version),
            Err(malformed) => {
                protocol::whole(object)?;
                self.rejections.reject(self.source, &malformed);
                (malformed.key, protocol::resource_version(object))
            }
        };
        Ok(Told {
            change: Change::Delete(self.source, key),
            triggered: None,
            version,
        })
    }
}
