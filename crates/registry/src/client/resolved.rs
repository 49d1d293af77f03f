//! Documents that were resolved and not yet asked for by a pull: it need not fetch them again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sealift_oci::Reference;

use super::Resolved;

/// More than this is not kept, in bytes: nobody may ever ask for it.
const KEPT: usize = 4 * 1024 * 1024;

/// What references stood for, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Handover {
    documents: Mutex<VecDeque<(Reference, Resolved)>>,
}

impl Handover {
    /// Leaves a document for whoever pulls the reference next.
    pub(super) fn leave(&self, reference: &Reference, resolved: &Resolved) {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        documents.retain(|(known, _)| known != reference);
        documents.push_back((reference.clone(), resolved.clone()));
        let size = |documents: &VecDeque<(Reference, Resolved)>| -> usize {
            documents.iter().map(|(_, one)| one.bytes.len()).sum()
        };
        while size(&documents) > KEPT {
            documents.pop_front();
        }
    }

    /// Takes what was left, once: whoever asks again wants to know what is true now.
    pub(super) fn take(&self, reference: &Reference) -> Option<Resolved> {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = documents.iter().position(|(known, _)| known == reference)?;
        documents.remove(at).map(|(_, resolved)| resolved)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sealift_oci::{Descriptor, MediaType};

    use super::*;

    #[test]
    fn what_is_left_is_taken_once_and_does_not_pile_up() {
        let reference = |number: usize| Reference::parse(&format!("r.example/a:{number}")).unwrap();
        let resolved = |size: usize| {
            let bytes = Bytes::from(vec![0; size]);
            let descriptor = Descriptor::of(MediaType::OCI_INDEX, &bytes);
            Resolved { descriptor, bytes }
        };
        let handover = Handover::default();
        handover.leave(&reference(1), &resolved(10));
        handover.leave(&reference(1), &resolved(20));
        assert_eq!(handover.take(&reference(1)).unwrap().bytes.len(), 20);
        assert!(handover.take(&reference(1)).is_none());
        for number in 0..10 {
            handover.leave(&reference(number), &resolved(KEPT / 4));
        }
        let kept = (0..10).filter(|number| handover.take(&reference(*number)).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [6, 7, 8, 9]);
    }
}
