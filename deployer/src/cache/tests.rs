use super::*;
use futures::StreamExt;
use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, sync::Mutex};

#[derive(Default)]
struct Files {
    content: BTreeMap<String, Vec<u8>>,
    /// Answers before the bytes.
    faults: Mutex<Vec<u16>>,
    opened: Mutex<Vec<String>>,
}

impl Files {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let content = files.iter().map(|(p, c)| ((*p).to_owned(), c.to_vec()));
        Self { content: content.collect(), ..Self::default() }
    }

    fn manifest(&self) -> Manifest {
        let files = self.content.iter().map(|(path, content)| ModelFile {
            path: path.clone(),
            digest: Digest::of(content),
            size_bytes: content.len() as u64,
        });
        Manifest::build(files.collect()).unwrap()
    }

    fn opened(&self) -> usize {
        self.opened.lock().unwrap().len()
    }
}

impl Source for Files {
    fn open<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Chunks, ClientError>> {
        self.opened.lock().unwrap().push(path.to_owned());
        if let Some(status) = self.faults.lock().unwrap().pop() {
            return Box::pin(async move { Err(crate::patience::tests::answer(status)) });
        }
        let content = bytes::Bytes::from(self.content[path].clone());
        Box::pin(async move { Ok(futures::stream::iter([Ok(content)]).boxed()) })
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_are_fetched_once_and_are_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(&folder.path().join("models")).unwrap();
    let files = Files::of(&[("MLmodel", b"flavors"), ("data/model.pkl", b"weights")]);
    let first = cache.ensure(&files.manifest(), &files).await.unwrap();
    assert!(!first.reused);
    assert_eq!(fs::read(first.folder.join("data/model.pkl")).unwrap(), b"weights");
    assert_eq!(mode(&first.folder.join("data/model.pkl")), 0o444);
    assert_eq!(mode(&first.folder.join("data")), 0o555);
    let second = cache.ensure(&files.manifest(), &files).await.unwrap();
    assert!(second.reused);
    assert_eq!(files.opened(), 2);
}

#[tokio::test]
async fn changed_removed_and_added_files_are_noticed_and_healed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(&folder.path().join("models")).unwrap();
    let files = Files::of(&[("MLmodel", b"flavors"), ("data/model.pkl", b"weights")]);
    let manifest = files.manifest();
    let cached = cache.ensure(&manifest, &files).await.unwrap().folder;
    let damages: [&dyn Fn(); 3] = [
        &|| fs::write(cached.join("MLmodel"), b"flavorz").unwrap(),
        &|| fs::remove_file(cached.join("MLmodel")).unwrap(),
        &|| fs::write(cached.join("data/sitecustomize.py"), b"").unwrap(),
    ];
    for damage in damages {
        make_writable(&cached).unwrap();
        let _ = set_mode(&cached.join("MLmodel"), 0o644);
        assert!(cache.intact(manifest.digest()).await.unwrap());
        damage();
        assert!(!cache.intact(manifest.digest()).await.unwrap());
        assert!(!cache.ensure(&manifest, &files).await.unwrap().reused);
        assert_eq!(fs::read(cached.join("MLmodel")).unwrap(), b"flavors");
        assert!(!cached.join("data/sitecustomize.py").exists());
    }
}

#[tokio::test]
async fn bytes_that_are_not_as_signed_never_reach_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(&folder.path().join("models")).unwrap();
    let manifest = Files::of(&[("MLmodel", b"flavors")]).manifest();
    let other = Files::of(&[("MLmodel", b"evilors")]);
    let error = cache.ensure(&manifest, &other).await.unwrap_err();
    assert!(matches!(error, CacheError::Mismatch { ref path, .. } if path == "MLmodel"));
    assert_eq!(fs::read_dir(folder.path().join("models")).unwrap().count(), 0);
    assert!(!cache.intact(manifest.digest()).await.unwrap());
}

#[tokio::test]
async fn a_manifest_that_was_exchanged_vouches_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(folder.path()).unwrap();
    let (files, other) = (Files::of(&[("MLmodel", b"flavors")]), Files::of(&[("MLmodel", b"evil")]));
    let (digest, evil) = (files.manifest().digest(), other.manifest().digest());
    cache.ensure(&files.manifest(), &files).await.unwrap();
    cache.ensure(&other.manifest(), &other).await.unwrap();
    remove(&folder.path().join(digest.hex())).unwrap();
    fs::rename(folder.path().join(evil.hex()), folder.path().join(digest.hex())).unwrap();
    fs::rename(cache.kept(evil), cache.kept(digest)).unwrap();
    assert!(!cache.intact(digest).await.unwrap());
}

#[tokio::test]
async fn downloads_that_a_crash_cut_off_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(".fetching-x/sub");
    fs::create_dir_all(&left).unwrap();
    set_mode(&left, 0o555).unwrap();
    ModelCache::open(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_is_longer_than_signed_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(folder.path()).unwrap();
    let manifest = Files::of(&[("MLmodel", b"flavors")]).manifest();
    let longer = Files::of(&[("MLmodel", b"flavors and more")]);
    let error = cache.ensure(&manifest, &longer).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLong { expected_bytes: 7, .. }), "{error}");
}

#[tokio::test]
async fn a_fault_of_the_registry_is_asked_about_again_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ModelCache::open(folder.path()).unwrap();
    let mut files = Files::of(&[("MLmodel", b"flavors")]);
    files.faults = Mutex::new(vec![500; 4]);
    let error = cache.ensure(&files.manifest(), &files).await.unwrap_err();
    assert!(matches!(error, CacheError::Fetch { .. }), "{error}");
    assert_eq!(files.opened(), 3);
    cache.ensure(&files.manifest(), &files).await.unwrap();
    assert_eq!(files.opened(), 5);
}
