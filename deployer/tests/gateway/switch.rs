//! Switching containers under load.

use crate::support::*;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SWITCHES: u64 = 200;
const CLIENTS: usize = 8;

/// A container that takes long enough for requests to be under way at every switch.
async fn slow_container(revision: u64) -> Container {
    Container::start(move |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        tokio::time::sleep(Duration::from_millis(body.len() as u64 % 7)).await;
        Response::new(full(format!("{revision}")))
    })
    .await
}

/// One client on one kept connection; returns how many requests it made. Any failure ends the test.
async fn load(url: String, number: usize, go_on: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> usize {
    let client = client();
    let mut sent = 0;
    let mut newest = 0;
    while go_on.load(Ordering::SeqCst) {
        let request = Request::post(&url).body(full(vec![b'x'; 100 + sent + number])).unwrap();
        let response = client.request(request).await.expect("an answer, not a broken connection");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert_eq!(status, StatusCode::OK, "{body}");
        let revision: u64 = body.parse().unwrap();
        assert!(revision >= newest, "revision {revision} answered after {newest}");
        newest = revision;
        sent += 1;
        answered.fetch_add(1, Ordering::SeqCst);
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_while_containers_take_over_from_each_other_and_go() {
    let site = Site::start().await;
    let mut serving = slow_container(1).await;
    site.route(1, vec![backend("rev_1", serving.address)]).await;
    let (go_on, answered) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let url = site.url("/production/iris/invocations");
            tokio::spawn(load(url, number, Arc::clone(&go_on), Arc::clone(&answered)))
        })
        .collect();

    for generation in 2..=SWITCHES + 1 {
        // Each revision answers something, so each switch is one under load.
        let before = answered.load(Ordering::SeqCst);
        while answered.load(Ordering::SeqCst) == before {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let next = slow_container(generation).await;
        site.route(generation, vec![backend(&format!("rev_{generation}"), next.address)]).await;
        let gone = std::mem::replace(&mut serving, next);
        let upstream = format!("http://{}", gone.address);
        site.until("a drained container", |status| {
            status.generation == generation
                && status.backends.iter().all(|backend| backend.upstream != upstream)
        })
        .await;
        if generation % 2 == 0 {
            gone.stop().await;
        } else {
            gone.kill().await;
        }
    }

    go_on.store(false, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
    assert!(answered.load(Ordering::SeqCst) >= SWITCHES as usize);
}

#[tokio::test]
async fn a_container_stays_in_the_status_until_its_last_answer_has_ended() {
    let site = Site::start().await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let old = Container::start(move |_| {
        let frames = receiver.lock().unwrap().take().expect("one request only");
        async { Response::new(stream_of(frames)) }
    })
    .await;
    site.route(1, vec![backend("old", old.address)]).await;

    let request = Request::get(site.url("/production/iris/tokens")).body(full("")).unwrap();
    let mut answer = client().request(request).await.unwrap().into_body();
    sender.send("first").await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "first");

    let new = Container::named("new").await;
    site.route(2, vec![backend("new", new.address)]).await;
    assert_eq!(post(&site.url("/production/iris/x"), "x").await.1, "new");
    let status = site.status().await;
    let seen: Vec<_> = status
        .backends
        .iter()
        .map(|backend| (backend.revision_id.as_str(), backend.in_flight, backend.draining))
        .collect();
    assert_eq!(seen, [("new", 0, false), ("old", 1, true)]);

    sender.send("last").await.unwrap();
    drop(sender);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "last");
    let status = site.until("the end of draining", |status| status.backends.len() == 1).await;
    assert_eq!(status.backends[0].revision_id, "new");
}

#[tokio::test]
async fn a_container_that_comes_back_while_draining_serves_again() {
    let site = Site::start().await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let first = Container::start(move |_| {
        let frames = receiver.lock().unwrap().take();
        async { Response::new(frames.map_or_else(|| full("short"), stream_of)) }
    })
    .await;
    let second = Container::named("second").await;
    let url = site.url("/production/iris/x");
    site.route(1, vec![backend("first", first.address)]).await;
    let request = Request::get(&url).body(full("")).unwrap();
    let long = client().request(request).await.unwrap();
    site.route(2, vec![backend("second", second.address)]).await;
    site.route(3, vec![backend("first", first.address)]).await;
    let status = site.status().await;
    assert_eq!(status.backends.len(), 1);
    assert_eq!((status.backends[0].in_flight, status.backends[0].draining), (1, false));
    assert_eq!(get(&url).await.1, "short");
    drop(sender);
    long.into_body().collect().await.unwrap();
    site.until_idle().await;
}

#[tokio::test]
async fn requests_follow_the_weights() {
    let site = Site::start().await;
    let (stable, canary) = (Container::named("stable").await, Container::named("canary").await);
    let weighted = |revision, container: &Container, weight| {
        let mut backend = backend(revision, container.address);
        backend.weight = weight;
        backend
    };
    site.route(1, vec![weighted("stable", &stable, 90), weighted("canary", &canary, 10)]).await;
    let (client, url) = (client(), site.url("/production/iris/x"));
    for _ in 0..200 {
        let request = Request::post(&url).body(full("x")).unwrap();
        client.request(request).await.unwrap().into_body().collect().await.unwrap();
    }
    assert!((18..=22).contains(&canary.requests()), "{} of 200", canary.requests());
    assert_eq!(stable.requests() + canary.requests(), 200);
}

#[tokio::test]
async fn stopping_lets_requests_end_and_cuts_those_that_do_not() {
    for ends in [true, false] {
        let site = Site::start().await;
        let (started, mut seen) = tokio::sync::mpsc::channel(1);
        let container = Container::start(move |_| {
            let started = started.clone();
            async move {
                started.send(()).await.unwrap();
                let pause = if ends { Duration::from_millis(50) } else { Duration::from_hours(1) };
                tokio::time::sleep(pause).await;
                Response::new(full("done"))
            }
        })
        .await;
        site.route(1, vec![backend("rev", container.address)]).await;
        let request = Request::post(site.url("/production/iris/x")).body(full("x")).unwrap();
        let asking = tokio::spawn(async move { client().request(request).await });
        seen.recv().await.unwrap();
        let address = site.gateway.local_addr();
        let drain = if ends { Duration::from_mins(1) } else { Duration::from_millis(50) };
        site.gateway.stop(drain).await;
        assert_eq!(asking.await.unwrap().is_ok(), ends);
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "still listens");
    }
}
