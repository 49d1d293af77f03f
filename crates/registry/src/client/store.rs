//! The content store, whose calls block.

use sealift_content::Store;

use crate::error::{Error, Result};

/// Runs work that blocks on the store.
pub(super) async fn blocking<T, F>(store: &Store, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Store) -> sealift_content::Result<T> + Send + 'static,
{
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    match done {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Interrupted {
            image: "the content store".to_owned(),
        }),
    }
}
