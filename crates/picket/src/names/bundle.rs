//! What engines keep of their containers on disk: the bundle that a container was made from, with
//! annotations, and the index of its storage. No engine needs to answer for that.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Named, Notes, text};

/// Directories below one of the configured ones: namespaces of containerd, drivers of storage.
const MOST: usize = 64;
/// Bytes of a file. Of a machine with thousands of containers the index is a few million.
const LONGEST: u64 = 16 << 20;

/// What the files below these directories say of a container.
pub(super) fn look(directories: &[PathBuf], id: &str) -> Named {
    let mut named = Named::default();
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten().take(MOST) {
            let place = entry.path();
            // containerd has NAMESPACE/ID/config.json, the others DRIVER-containers/ID/userdata/….
            for file in ["config.json", "userdata/config.json"] {
                if let Some(bundle) = read::<Bundle>(&place.join(id).join(file)) {
                    named = named.or(bundle.annotations.unwrap_or_default().named());
                }
            }
            let driver = entry.file_name().to_string_lossy().ends_with("-containers");
            if driver && (named.image.is_none() || named.name.is_none()) {
                for index in ["containers.json", "volatile-containers.json"] {
                    named = named.or(stored(&place.join(index), id));
                }
            }
        }
    }
    named
}

/// A bundle, as the Open Container Initiative describes it.
#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Option<Notes>,
}

/// A container in the index of the storage that podman and CRI-O share.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    /// JSON once more.
    #[serde(default)]
    metadata: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "image-name")]
    image: Option<String>,
    #[serde(rename = "pod-name")]
    pod: Option<String>,
}

fn stored(index: &Path, id: &str) -> Named {
    let all: Vec<Stored> = read(index).unwrap_or_default();
    let Some(found) = all.into_iter().find(|one| one.id == id) else { return Named::default() };
    let metadata = found.metadata.unwrap_or_default();
    let metadata: Metadata = serde_json::from_str(&metadata).unwrap_or_default();
    let name = found.names.unwrap_or_default();
    Named {
        image: metadata.image.as_deref().and_then(text),
        name: name.first().and_then(|name| text(name)),
        // What podman notes there for CRI-O's sake; empty for its own.
        pod_name: metadata.pod.as_deref().and_then(text),
        pod_namespace: None,
    }
}

/// Reads a file as JSON; one that is not there, too long or not in form is none.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    // A pipe in its place must not be waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblock).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfb8a1d2c3f40";

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path.replace("ID", ID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn bundles_of_kubernetes() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "k8s.io/ID/config.json",
            r#"{"ociVersion": "1.1.0", "annotations": {
                "io.kubernetes.cri.container-name": "web",
                "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.27",
                "io.kubernetes.cri.sandbox-name": "web-7d4b9",
                "io.kubernetes.cri.sandbox-namespace": "shop"}}"#,
        );
        let named = Named {
            image: some("docker.io/library/nginx:1.27"),
            name: some("web"),
            pod_name: some("web-7d4b9"),
            pod_namespace: some("shop"),
        };
        assert_eq!(look(&[root.path().to_owned()], ID), named);
        assert_eq!(look(&[root.path().to_owned()], &"0".repeat(64)), Named::default());

        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "overlay-containers/ID/userdata/config.json",
            r#"{"annotations": {"io.kubernetes.container.name": "web",
                "io.kubernetes.cri-o.ImageName": "docker.io/library/nginx:1.27",
                "io.kubernetes.pod.name": "web-7d4b9", "io.kubernetes.pod.namespace": "shop"}}"#,
        );
        assert_eq!(look(&["/nowhere".into(), root.path().to_owned()], ID), named);
    }

    #[test]
    fn the_index_of_the_storage() {
        let root = tempfile::tempdir().unwrap();
        let index = r#"[{"id": "0", "names": ["other"]}, {"id": "ID", "names": ["web"],
            "metadata": "{\"image-name\":\"docker.io/library/nginx:1.27\",\"name\":\"web\"}"}]"#;
        put(root.path(), "overlay-containers/containers.json", &index.replace("ID", ID));
        let named = Named {
            image: some("docker.io/library/nginx:1.27"),
            name: some("web"),
            ..Named::default()
        };
        assert_eq!(look(&[root.path().to_owned()], ID), named);
    }

    #[test]
    fn what_is_not_in_form_says_nothing() {
        let annotated = |value: &str| format!(r#"{{"annotations": {value}}}"#);
        for text in [
            "",
            "null",
            "[]",
            "{",
            &annotated("null"),
            &annotated("[]"),
            &annotated(r#"{"nerdctl/name": 7}"#),
            &annotated(r#"{"nerdctl/name": ""}"#),
            &"[".repeat(100_000),
        ] {
            let root = tempfile::tempdir().unwrap();
            put(root.path(), "default/ID/config.json", text);
            put(root.path(), "vfs-containers/containers.json", text);
            assert_eq!(look(&[root.path().to_owned()], ID), Named::default(), "{text:.40}");
        }
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "a/ID/config.json",
            &annotated(&format!(r#"{{"nerdctl/name": "{}"}}"#, "n".repeat(5000))),
        );
        assert_eq!(look(&[root.path().to_owned()], ID).name.unwrap().len(), 256);
        // A directory, and a pipe that nobody writes to.
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a").join(ID).join("config.json")).unwrap();
        assert_eq!(look(&[root.path().to_owned()], ID), Named::default());
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a").join(ID);
        fs::create_dir_all(&dir).unwrap();
        let pipe = dir.join("config.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(look(&[root.path().to_owned()], ID), Named::default());
    }
}
