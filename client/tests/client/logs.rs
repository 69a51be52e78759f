use crate::service::{Seen, client, problem, status, stream};
use bytes::Bytes;
use futures::StreamExt;
use waybill_client::api::{LogLine, LogStream};

fn line(seq: i64) -> LogLine {
    LogLine { seq, rollout_id: "r".into(), at_ms: seq, stream: LogStream::Build, text: format!("line {seq}") }
}

fn event(seq: i64) -> String {
    format!("id: {seq}\ndata: {}\n\n", serde_json::to_string(&line(seq)).unwrap())
}

fn after(seen: &Seen) -> &str {
    seen.target.rsplit_once("after_seq=").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn lines_come_once_across_lost_connections() {
    let (client, log) = client(|number, seen| match number {
        // Cut in the middle of the third event.
        0 => stream(vec![Bytes::from(event(1) + &event(2) + "data: {\"seq\":3")], true),
        1 => status(503, ""),
        // Replays what the client has, out of caution.
        2 => stream(vec![Bytes::from(event(2) + ": keep-alive\n\n" + &event(3))], false),
        _ => {
            assert_eq!(after(seen), "3");
            stream(vec![Bytes::from(event(4))], false)
        }
    });
    let lines: Vec<_> = client.follow_log("staging", "iris", 0).take(4).collect().await;
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    assert_eq!(lines, [line(1), line(2), line(3), line(4)]);
    let asked: Vec<String> = log.lock().unwrap().iter().map(|seen| after(seen).to_owned()).collect();
    assert_eq!(asked, ["0", "2", "2", "3"]);
    assert_eq!(log.lock().unwrap()[0].header("accept"), "text/event-stream");
}

#[tokio::test]
async fn a_deployment_that_is_not_there_ends_the_stream() {
    let (client, _) = client(|_, _| problem(404, "DEPLOYMENT_NOT_FOUND", "iris is not deployed in staging"));
    let items: Vec<_> = client.follow_log("staging", "iris", 0).collect().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].as_ref().unwrap_err().code(), Some("DEPLOYMENT_NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_ends_the_stream() {
    let (client, _) = client(|_, _| status(503, ""));
    let items: Vec<_> = client.follow_log("staging", "iris", 0).collect().await;
    assert_eq!(items.len(), 1);
    assert!(items[0].is_err());
}
