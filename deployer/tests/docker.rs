//! A real Docker Engine: what we ask of it, and what it answers when something is wrong.
//!
//! Skipped, with the reason, where no engine or base image is there; with `CI=true` that is a
//! failure.

#[path = "docker/empty_registry.rs"]
mod empty_registry;
#[path = "docker/own_authority.rs"]
mod own_authority;
#[path = "docker/private_index.rs"]
mod private_index;

use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};
use waybill_deployer::{
    Config, Deployer,
    engine::{ContainerSpec, ContainerState, DockerEngine, Engine, EngineError, Image, Limits, Mount, Tmpfs},
    images::{Index, ResolveError, ResolveRequest, resolve},
};
use waybill_proof::keys::{FileKey, Signer};

const BASE: &str = "waybill-base:py3.11";

/// The engine and the base image, or `None` after saying why not.
async fn engine() -> Option<(DockerEngine, Image)> {
    if std::env::var("WAYBILL_TEST_DOCKER").as_deref() == Ok("0") {
        waybill_tests::skip("WAYBILL_TEST_DOCKER=0 leaves out Docker");
        return None;
    }
    let engine = DockerEngine::new(None);
    let missing = match engine.image(BASE).await {
        Ok(Some(base)) => return Some((engine, base)),
        Ok(None) => format!("there is no image {BASE}: run `waybill images base`"),
        Err(error) => error.to_string(),
    };
    waybill_tests::skip(&missing);
    None
}

fn spec(image: &Image, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        name: format!("waybill-test-{}", uuid::Uuid::new_v4().simple()),
        image: image.id.clone(),
        command: command.iter().map(|&part| part.to_owned()).collect(),
        environment: BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]),
        labels: BTreeMap::new(),
        user: "65532:65532".to_owned(),
        mounts: Vec::new(),
        tmpfs: vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: 16 << 20 }],
        limits: Limits { memory_bytes: 128 << 20, cpu_millis: 64_000, pids: 64 },
        publish: None,
    }
}

/// Runs a command to its end; gives its exit code and what it printed.
async fn run(engine: &DockerEngine, spec: &ContainerSpec, stdin: &'static [u8]) -> (i64, String) {
    let output = engine.run(spec, Bytes::from_static(stdin), &|_| {}).await.unwrap();
    (output.exit.code, String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn containers_can_write_nowhere_and_gain_nothing() {
    let Some((engine, base)) = engine().await else { return };
    let model = tempfile::tempdir().unwrap();
    std::fs::write(model.path().join("MLmodel"), "flavors").unwrap();
    let script = "import os\n\
        print(os.getuid(), os.getgid(), open('/opt/ml/model/MLmodel').read())\n\
        for path in ['/x', '/opt/ml/model/x', '/tmp/x']:\n\
        \x20   try:\n\
        \x20       open(path, 'w'); print(path, 'written')\n\
        \x20   except OSError as error:\n\
        \x20       print(path, error.strerror)\n\
        print([line.split()[1] for line in open('/proc/self/status') \
              if line.startswith(('CapEff', 'CapBnd', 'NoNewPrivs'))])\n";
    let mut spec = spec(&base, &["python3", "-c", script]);
    spec.mounts = vec![Mount { host: model.path().to_owned(), container: "/opt/ml/model".to_owned() }];
    // The temporary folder is for its owner only; Docker mounts it all the same, as root.
    std::fs::set_permissions(model.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, printed) = run(&engine, &spec, b"").await;
    assert_eq!(
        (code, printed.as_str()),
        (
            0,
            "65532 65532 flavors\n/x Read-only file system\n/opt/ml/model/x Read-only file system\n\
             /tmp/x written\n['0000000000000000', '0000000000000000', '1']\n"
        )
    );
    assert_eq!(engine.container(&spec.name).await.unwrap(), None, "it is removed");
}

#[tokio::test]
async fn standard_input_and_exit_code_pass_through() {
    let Some((engine, base)) = engine().await else { return };
    let script = "import sys; print(len(sys.stdin.read())); sys.exit(7)";
    let spec = spec(&base, &["python3", "-c", script]);
    assert_eq!(run(&engine, &spec, b"twelve bytes").await, (7, "12\n".to_owned()));
}

#[tokio::test]
async fn a_container_that_takes_too_much_memory_is_told_from_one_that_fails() {
    let Some((engine, base)) = engine().await else { return };
    let spec = spec(&base, &["python3", "-c", "x = bytearray(512 << 20)"]);
    let output = engine.run(&spec, Bytes::new(), &|_| {}).await.unwrap();
    assert!(output.exit.out_of_memory, "{:?}", output.exit);
    assert!(output.exit.to_string().contains("memory"), "{}", output.exit);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let Some((engine, base)) = engine().await else { return };
    let spec = spec(&base, &["true"]);
    let id = engine.create(&spec).await.unwrap();
    let second = engine.create(&spec).await;
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.expect("removing it twice is no error");
    assert!(matches!(second, Err(EngineError::NameTaken { ref name }) if *name == spec.name), "{second:?}");
}

#[tokio::test]
async fn a_taken_port_is_told_and_the_container_stays_created() {
    let Some((engine, base)) = engine().await else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut spec = spec(&base, &["sleep", "60"]);
    spec.publish = Some((port, 8080));
    let id = engine.create(&spec).await.unwrap();
    let started = engine.start(&id).await;
    let state = engine.container(&id).await.unwrap().map(|c| c.state);
    engine.remove(&id).await.unwrap();
    match started {
        Err(EngineError::PortTaken { port: named }) => assert_eq!(named, port.to_string()),
        other => panic!("expected PortTaken, got {other:?}"),
    }
    assert_eq!(state, Some(ContainerState::Created));
}

#[tokio::test]
async fn a_running_container_has_an_address_and_its_log_ends_with_it() {
    let Some((engine, base)) = engine().await else { return };
    let script = "import sys, time; print('one'); print('two', file=sys.stderr); time.sleep(1)";
    let spec = spec(&base, &["python3", "-u", "-c", script]);
    let id = engine.create(&spec).await.unwrap();
    engine.start(&id).await.unwrap();
    let running = engine.container(&id).await.unwrap().unwrap();
    let followed: Vec<_> = futures::StreamExt::collect(engine.follow_logs(&id, 0)).await;
    let exit = engine.wait(&id).await.unwrap();
    let last = engine.last_logs(&id, 1).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert!(
        matches!(running.state, ContainerState::Running { address: Some(_), host_port: None }),
        "{:?}",
        running.state
    );
    let mut texts: Vec<_> = followed.into_iter().map(|line| line.unwrap().text).collect();
    texts.sort();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!((exit.code, last.len()), (0, 1));
}

async fn resolution(requirements: &str) -> Option<(Result<String, ResolveError>, Vec<String>)> {
    let (engine, base) = engine().await?;
    let lines = Mutex::new(Vec::new());
    let request = ResolveRequest {
        base: &base,
        requirements,
        index: Index::default(),
        cut_off: None,
        labels: BTreeMap::new(),
    };
    let sink = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let result = resolve(&engine, request, &sink).await.map(|r| r.text);
    Some((result, lines.into_inner().unwrap()))
}

#[tokio::test]
async fn requirements_resolve_to_pins_with_hashes() {
    let Some((result, _)) = resolution("colorama==0.4.6\n").await else { return };
    let text = result.unwrap();
    assert!(text.starts_with("colorama==0.4.6 \\\n    --hash=sha256:"), "{text}");
}

#[tokio::test]
async fn the_resolvers_own_message_reaches_the_user() {
    let Some((result, lines)) = resolution("colorama==99.0\n").await else { return };
    match result {
        Err(ResolveError::Unresolvable { message }) => {
            assert!(message.contains("colorama==99.0"), "{message}");
            assert_eq!(message, lines.join("\n"));
        }
        other => panic!("expected Unresolvable, got {other:?}"),
    }
}

#[tokio::test]
async fn shell_characters_are_text_to_the_resolver() {
    for line in [
        "colorama; touch /tmp/owned",
        "$(touch /tmp/owned)",
        "colorama && touch /tmp/owned",
        "`touch /tmp/owned`",
        "colorama | sh",
    ] {
        let Some((result, _)) = resolution(&format!("{line}\n")).await else { return };
        assert!(matches!(result, Err(ResolveError::Unresolvable { .. })), "{line}: {result:?}");
    }
    assert!(!std::path::Path::new("/tmp/owned").exists());
}

#[tokio::test]
async fn an_engine_that_does_not_run_is_named_with_a_way_out() {
    let engine = DockerEngine::new(Some("unix:///nonexistent/docker.sock"));
    let message = engine.check().await.unwrap_err().to_string();
    assert!(message.contains("/nonexistent/docker.sock"), "{message}");
    assert!(message.contains("systemctl start docker") && message.contains("DOCKER_HOST"), "{message}");
    // Not every command that needs the engine serves a registry.
    assert!(!message.contains("--no-deployer"), "{message}");
}

/// Starts a container with the labels of a deployer's instance; its id.
async fn labelled(engine: &DockerEngine, base: &Image, instance: &str) -> String {
    let mut spec = spec(base, &["sleep", "600"]);
    spec.labels = [
        ("io.waybill.instance", instance),
        ("io.waybill.purpose", "serve"),
        ("io.waybill.environment", "staging"),
        ("io.waybill.model", "iris"),
        ("io.waybill.revision", "rev_1"),
        ("io.waybill.runtime", "mlflow-pyfunc"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let id = engine.create(&spec).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

fn new_instance(folder: &tempfile::TempDir) -> String {
    let instance = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
    std::fs::write(folder.path().join("instance"), &instance).unwrap();
    instance
}

async fn deployer(folder: &tempfile::TempDir, accept_registry: Option<&str>) -> Deployer {
    let key = FileKey::generate().unwrap();
    let mut config = Config::new(folder.path(), vec![key.public_key_pem().to_owned()]);
    config.accept_registry = accept_registry.map(str::to_owned);
    Deployer::start(config, empty_registry::client()).await.unwrap()
}

async fn runs(engine: &DockerEngine, id: &str) -> bool {
    let found = engine.container(id).await.unwrap();
    matches!(found.map(|container| container.state), Some(ContainerState::Running { .. }))
}

async fn is_removed(engine: &DockerEngine, id: &str) -> bool {
    let deadline = Instant::now() + Duration::from_mins(1);
    while engine.container(id).await.unwrap().is_some() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    engine.container(id).await.unwrap().is_none()
}

#[tokio::test]
async fn orphans_are_removed_and_containers_of_others_are_not() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let orphan = labelled(&engine, &base, &new_instance(&folder)).await;
    let other = labelled(&engine, &base, "0123456789abcdef").await;
    let deployer = deployer(&folder, None).await;
    let removed = is_removed(&engine, &orphan).await;
    deployer.stop().await;
    let stays = runs(&engine, &other).await;
    for id in [&orphan, &other] {
        engine.remove(id).await.unwrap();
    }
    assert!(removed && stays, "the orphan is removed: {removed}, the other one stays: {stays}");
}

/// What a lost database looks like: a registry that desires nothing, and is not the one served so
/// far.
#[tokio::test]
async fn another_registry_takes_nothing_away_before_it_is_accepted() {
    let Some((engine, base)) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let id = labelled(&engine, &base, &new_instance(&folder)).await;
    std::fs::write(folder.path().join("registry"), "the one before").unwrap();
    let routes = folder.path().join("routes.json");
    let table = r#"{"generation":1,"routes":[{"environment":"staging","model":"iris","backends":[]}]}"#;
    std::fs::write(&routes, table).unwrap();

    let stranger = deployer(&folder, None).await;
    // Long enough for several looks.
    tokio::time::sleep(Duration::from_secs(3)).await;
    stranger.stop().await;
    let kept = runs(&engine, &id).await && std::fs::read_to_string(&routes).unwrap() == table;

    let accepted = deployer(&folder, Some(empty_registry::ID)).await;
    let removed = is_removed(&engine, &id).await;
    accepted.stop().await;
    engine.remove(&id).await.unwrap();
    assert!(kept, "nothing changes before the registry is accepted");
    assert!(removed, "and then what it does not desire goes");
}
