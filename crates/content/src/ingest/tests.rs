//! An ingest whose bytes may be lost.

use super::*;
use crate::Store;

#[test]
fn a_blob_whose_bytes_may_be_lost_gets_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = Digest::sha256(b"abc");
    let begin = || match store.ingest(&digest, Some(3)).unwrap() {
        Ingestion::Ready(ingest) => ingest,
        other => panic!("{other:?}"),
    };
    let ingest = begin();
    ingest.append(b"abc").unwrap();
    let told = ingest.partial.lose(std::io::ErrorKind::Other.into());
    assert!(matches!(told, Error::Io { .. }));
    assert!(matches!(ingest.commit().unwrap_err(), Error::Lost { .. }));
    assert!(matches!(
        ingest.commit().unwrap_err(),
        Error::NotFound { .. }
    ));
    assert!(!store.contains(&digest));
    drop(ingest);
    assert_eq!(begin().resumed(), 0);
}
