//! A full disk, made with a small file system.

use super::support::Server;
use std::{path::Path, process::Command};

/// A tmpfs of 6 MiB; unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "waybill-test"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_507_and_leaves_nothing() {
    let mount_point = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(mount_point.path()) else {
        waybill_tests::skip("a small file system can only be mounted by root");
        return;
    };
    let server = Server::start_in(tempfile::tempdir().unwrap(), mount_point.path().join("artifacts")).await;
    assert_eq!(server.put("kept", &vec![7; 2 << 20]).await.status, 200);

    let body = vec![1; 12 << 20];
    for chunked in [false, true] {
        let answer = if chunked {
            // The size is not known: the disk fills while writing.
            let head = format!(
                "PUT {}/new HTTP/1.1\nHost: {}\nConnection: close\nTransfer-Encoding: chunked\n\n",
                super::BASE,
                server.address
            );
            let mut framed = format!("{:x}\r\n", body.len()).into_bytes();
            framed.extend_from_slice(&body);
            framed.extend_from_slice(b"\r\n0\r\n\r\n");
            server.raw(&head, &framed, super::After::Wait).await
        } else {
            server.put("new", &body).await
        };
        assert_eq!(answer.status, 507, "{answer:?}");
        assert!(answer.text().contains("disk is full; nothing was changed"), "{}", answer.text());
        server.wait_for_objects(1).await;
    }
    assert_eq!(server.get("new", &[]).await.status, 404);
    assert_eq!(server.get("kept", &[]).await.body.len(), 2 << 20);
    assert_eq!(server.put("small", b"still fits").await.status, 200);
    server.stop().await;
}
