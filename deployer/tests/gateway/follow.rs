//! A gateway that nobody calls: it sees only its route file.

use crate::support::*;
use std::fs;
use std::io::Write;

#[tokio::test]
async fn a_gateway_follows_the_file_from_before_it_exists() {
    let site = Site::start().await;
    let answer = get(&site.url("/production/iris/ping")).await;
    let (status, code, _) = problem(&answer);
    assert_eq!((status, code.as_str()), (503, "NO_ROUTES"));
    assert_eq!(answer.2["retry-after"], "5");
    assert_eq!(site.status().await.generation, 0);

    let container = Container::named("one").await;
    table(1, vec![backend("rev_1", container.address)]).write_atomic(&site.routes_path()).unwrap();
    site.until("generation 1", |status| status.generation == 1).await;
    assert_eq!(post(&site.url("/production/iris/x"), "x").await.1, "one");
}

#[tokio::test]
async fn a_damaged_file_leaves_the_last_good_table_serving() {
    let site = Site::start().await;
    let container = Container::named("one").await;
    let path = site.routes_path();
    let good = table(1, vec![backend("rev_1", container.address)]);
    good.write_atomic(&path).unwrap();
    site.until("generation 1", |status| status.generation == 1).await;

    let whole = fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"{\"generation\":2}", &[0xff; 40]] {
        fs::write(&path, damaged).unwrap();
        let status = site.until("a refused file", |status| status.rejected_file.is_some()).await;
        assert_eq!(status.generation, 1);
        assert_eq!(post(&site.url("/production/iris/x"), "x").await.1, "one");
        site.gateway.reload().await.expect_err("a damaged file");
        good.write_atomic(&path).unwrap();
        site.until("a file taken again", |status| status.rejected_file.is_none()).await;
    }

    fs::remove_file(&path).unwrap();
    site.until("a missing file", |status| status.rejected_file.is_some()).await;
    assert_eq!(post(&site.url("/production/iris/x"), "x").await.1, "one");
}

#[tokio::test]
async fn a_change_that_leaves_time_length_and_inode_alone_is_seen() {
    let site = Site::start().await;
    let container = Container::named("one").await;
    let path = site.routes_path();
    table(1, vec![backend("rev_1", container.address)]).write_atomic(&path).unwrap();
    site.until("generation 1", |status| status.generation == 1).await;
    let (modified, json) =
        (fs::metadata(&path).unwrap().modified().unwrap(), fs::read_to_string(&path).unwrap());
    let changed = json.replace("\"generation\": 1", "\"generation\": 2");
    assert_ne!(json, changed);
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(changed.as_bytes()).unwrap();
    file.set_modified(modified).unwrap();
    site.until("generation 2", |status| status.generation == 2).await;
}

#[tokio::test]
async fn two_gateways_follow_one_file() {
    let site = Site::start().await;
    let path = site.routes_path();
    let second = Site::with(|config| config.routes_path = path.clone()).await;
    let (one, two) = (Container::named("one").await, Container::named("two").await);
    table(1, vec![backend("rev_1", one.address)]).write_atomic(&path).unwrap();
    table(2, vec![backend("rev_2", two.address)]).write_atomic(&path).unwrap();
    for site in [&site, &second] {
        site.until("generation 2", |status| status.generation == 2).await;
        assert_eq!(post(&site.url("/production/iris/x"), "x").await.1, "two");
    }
    assert_eq!(one.requests(), 0);
}

#[tokio::test]
async fn a_gateway_that_starts_on_a_file_serves_it_from_the_first_request() {
    let first = Site::start().await;
    let container = Container::named("one").await;
    let path = first.routes_path();
    table(5, vec![backend("rev_1", container.address)]).write_atomic(&path).unwrap();
    let second = Site::with(|config| config.routes_path = path).await;
    assert_eq!(post(&second.url("/production/iris/x"), "x").await.1, "one");
}
