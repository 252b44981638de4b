//! The catalog keeps what it acknowledged, and nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use minamo_catalog::{Catalog, CatalogError, Channel, ChannelKind, PAGE_MAX};
use minamo_media::ChannelId;
use serde_json::json;

async fn create(catalog: &Catalog, kind: ChannelKind) -> Channel {
    catalog.create_channel(kind, json!({"hls": [{"video": {"width": 640}}]})).await.unwrap()
}

#[tokio::test]
async fn a_channel_survives_a_reopen_to_the_last_field() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    {
        let catalog = Catalog::open_in(folder.path()).await.unwrap();
        for kind in [ChannelKind::Single, ChannelKind::Multistream, ChannelKind::MultistreamWithHls] {
            made.push(create(&catalog, kind).await);
        }
        // Dropped without a close, as after a kill.
    }
    let catalog = Catalog::open_in(folder.path()).await.unwrap();
    assert_eq!(catalog.list_channels(None, PAGE_MAX).await.unwrap(), made);
    for channel in made {
        assert_eq!(catalog.channel(&channel.id).await.unwrap(), Some(channel));
    }
}

/// Negative control: what is compared above does differ when one field differs, and an unknown id is not found.
#[tokio::test]
async fn another_kind_or_id_is_noticed() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let made = create(&catalog, ChannelKind::Single).await;
    let mut other = made.clone();
    other.kind = ChannelKind::Multistream;
    assert_ne!(catalog.channel(&made.id).await.unwrap(), Some(other));
    assert_eq!(catalog.channel(&ChannelId::from("nobody")).await.unwrap(), None);
}

#[tokio::test]
async fn ids_are_72_hex_characters_and_differ() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let id = create(&catalog, ChannelKind::Single).await.id;
        assert_eq!(id.as_str().len(), 72);
        assert!(id.as_str().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{id}");
        assert!(seen.insert(id));
    }
}

#[tokio::test]
async fn a_deleted_id_is_gone_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let id = ChannelId::from("demo");
    {
        let catalog = Catalog::open_in(folder.path()).await.unwrap();
        catalog.create_channel_with_id(id.clone(), ChannelKind::Single, json!({})).await.unwrap();
        assert!(catalog.delete_channel(&id).await.unwrap());
        assert!(!catalog.delete_channel(&id).await.unwrap(), "deleted twice");
    }
    let catalog = Catalog::open_in(folder.path()).await.unwrap();
    assert_eq!(catalog.channel(&id).await.unwrap(), None);
    assert!(catalog.channel_ids().await.unwrap().is_empty());
    let again = catalog.create_channel_with_id(id.clone(), ChannelKind::Single, json!({})).await;
    assert!(matches!(again, Err(CatalogError::IdTaken(taken)) if taken == id));
}

#[tokio::test]
async fn a_secret_is_found_by_its_id_and_goes_with_its_channel() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open_in(folder.path()).await.unwrap();
    let (first, second) = (create(&catalog, ChannelKind::Single).await, create(&catalog, ChannelKind::Single).await);
    assert_ne!(first.secret, second.secret);
    drop(catalog);
    let catalog = Catalog::open_in(folder.path()).await.unwrap();
    let id = first.secret.key_id();
    assert_eq!(catalog.channel_of_key(&id).await.unwrap(), Some(first.clone()));
    for nobody in ["", "0000000000000000"] {
        assert_eq!(catalog.channel_of_key(nobody).await.unwrap(), None);
    }
    assert!(catalog.delete_channel(&first.id).await.unwrap());
    assert_eq!(catalog.channel_of_key(&id).await.unwrap(), None);
    assert_eq!(catalog.channel_of_key(&second.secret.key_id()).await.unwrap(), Some(second));
}

#[tokio::test]
async fn an_id_that_lives_is_taken_too() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let id = create(&catalog, ChannelKind::Single).await.id;
    let again = catalog.create_channel_with_id(id, ChannelKind::Single, json!({})).await;
    assert!(matches!(again, Err(CatalogError::IdTaken(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creates_and_deletes_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open_in(folder.path()).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let channel = create(&catalog, ChannelKind::MultistreamWithHls).await;
                if n % 4 == 0 {
                    assert!(catalog.delete_channel(&channel.id).await.unwrap());
                    return None;
                }
                Some(channel.id)
            })
        })
        .collect();
    let mut expected = HashSet::new();
    for task in tasks {
        expected.extend(task.await.unwrap());
    }
    assert_eq!(expected.len(), 48);
    drop(catalog);
    let reopened = Catalog::open_in(folder.path()).await.unwrap();
    assert_eq!(reopened.channel_ids().await.unwrap().into_iter().collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn pages_are_bounded_and_go_on_behind_a_deleted_cursor() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&catalog, ChannelKind::Single).await.id);
    }
    let first = catalog.list_channels(None, 2).await.unwrap();
    assert_eq!(first.iter().map(|channel| &channel.id).collect::<Vec<_>>(), ids[..2].iter().collect::<Vec<_>>());
    catalog.delete_channel(&ids[1]).await.unwrap();
    let rest = catalog.list_channels(Some(&ids[1]), u32::MAX).await.unwrap();
    assert_eq!(rest.iter().map(|channel| &channel.id).collect::<Vec<_>>(), ids[2..].iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_url_opens_the_same_file_as_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("a").join("b");
    let id = create(&Catalog::open_in(&nested).await.unwrap(), ChannelKind::Single).await.id;
    let catalog = Catalog::open(&format!("sqlite:{}", nested.join("catalog.db").display())).await.unwrap();
    assert!(catalog.channel(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn what_cannot_be_opened_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let under_a_file = Catalog::open_in(&file).await.unwrap_err();
    assert!(matches!(under_a_file, CatalogError::Folder { .. } | CatalogError::Open { .. }), "{under_a_file:?}");

    let garbage = folder.path().join("catalog.db");
    std::fs::write(&garbage, "this is no database, and is longer than a header of a hundred bytes".repeat(20)).unwrap();
    let no_database = Catalog::open_in(folder.path()).await.unwrap_err();
    assert!(matches!(no_database, CatalogError::Open { .. }), "{no_database:?}");

    let elsewhere = Catalog::open("postgres://user:secret@db/minamo").await.unwrap_err();
    assert!(matches!(elsewhere, CatalogError::UnsupportedUrl { .. }), "{elsewhere:?}");
    for error in [under_a_file, no_database, elsewhere] {
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_read_only_catalog_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    // Closed, not dropped: a pool that is dropped writes its log back when it comes to it.
    Catalog::open_in(folder.path()).await.unwrap().close().await;
    let url = format!("sqlite:{}?mode=ro", folder.path().join("catalog.db").display());
    assert!(matches!(Catalog::open(&url).await, Err(CatalogError::Open { .. })));
}

#[tokio::test]
async fn after_close_it_says_that_it_is_not_there() {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    catalog.check().await.unwrap();
    catalog.close().await;
    assert!(matches!(catalog.check().await, Err(CatalogError::Storage(_))));
}
